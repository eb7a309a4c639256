"""``edge channel``: bundles for many boards, signed, ring by ring; and following them on a board."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli import channel_status, follow
from edge.cli.channel_keys import private_keys
from edge.cli.options import AsJson
from edge.console import note, stdout, table, write_json
from edge.errors import ChannelError

if TYPE_CHECKING:
    from edge.fleet.channel import Channel, Release
    from edge.fleet.health import Gate

__all__ = ["app"]

app = typer.Typer()
app.command("follow")(follow.follow)
app.command("install-timer")(follow.install_timer)
app.command("status")(channel_status.status)

Folder = Annotated[Path, typer.Argument(help="The folder that a static host serves.", metavar="FOLDER")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Private key; more than once to sign with several. Default: where init put it."),
]
Version = Annotated[str | None, typer.Option("--version", help="A version or its label. Default: the newest.")]


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="The channel's name.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Private key; made if missing. Default: in ~/.config/mobilenet-edge."),
    ] = None,
    days: Annotated[float, typer.Option("--days", help="Days after which it expires unless something is signed.")] = 90,
    json: AsJson = False,
) -> None:
    """Begin a channel: make its key, and the first signed file.

    Example: edge channel init /srv/www/birds --name birds
    """
    from edge.fleet import keys, publishing

    with keys.key_taken(key or keys.default_key(name), folder) as pair:
        channel = publishing.init(folder, name, [pair.private], days=days)
    if json:
        values = {"private_key": str(pair.private), "public_key": str(pair.public), "key_is_new": pair.is_new}
        write_json({**channel.to_dict(), **values})
        return
    made = "made" if pair.is_new else "taken"
    stdout().print(
        f"{folder}: channel {name}, serial {channel.serial}, expires {channel.expires}.\n"
        f"Private key ({made}): {pair.private}. Keep a copy somewhere safe, and off the host.\n"
        f"Public key, for the boards: {pair.public}, there as /etc/mobilenet-edge/channel.pub.",
        soft_wrap=True,
    )


@app.command()
def publish(
    folder: Folder,
    bundle: Annotated[str, typer.Argument(help="A .zip file, or a bundle's folder or name.", metavar="BUNDLE")],
    key: Keys = None,
    label: Annotated[str | None, typer.Option("--label", help="What people call this version: 2026.11.")] = None,
    ring: Annotated[
        list[str] | None,
        typer.Option(
            "--ring",
            help="NAME=PERCENT or NAME=@GROUP,@GROUP; more than once. Default: as the last release, or 5, 25, 100.",
            metavar="NAME=SHARE",
        ),
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option("--gate", help="What it must hold, e.g. minutes=30; more than once.", metavar="NAME=VALUE"),
    ] = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", help="Earliest time: 2026-12-01T02:00:00+01:00.", metavar="TIME")
    ] = None,
    min_version: Annotated[
        str | None, typer.Option("--min-version", help="Oldest mobilenet-edge that it runs with.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="A backend it needs; more than once for one of several.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the .zip file will be, if not in the channel's folder.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Add a bundle, for the first ring.

    Example: edge channel publish /srv/www/birds birds.zip --label 2026.11
    """
    from edge.fleet import publishing
    from edge.fleet.channel import Runtime
    from edge.fleet.rings import check_rings, parse_ring
    from edge.fleet.state import parse_time

    try:
        rings = tuple(parse_ring(one) for one in ring) if ring else None
        if rings is not None:
            check_rings(rings)
        moment: datetime | None = parse_time(not_before) if not_before else None
        runtime = Runtime(minimum=min_version, backends=tuple(backend or ()))
    except ValueError as reason:
        raise ChannelError(f"Cannot publish: {reason}.") from reason
    offer = publishing.Offer(label=label, rings=rings, not_before=moment, runtime=runtime, url=url)
    if gate:
        offer = replace(offer, gate=_gate(gate))
    release = publishing.publish(folder, bundle, private_keys(key, folder), offer, announce=note)
    _print_release(folder, release, json)


@app.command()
def promote(
    folder: Folder,
    key: Keys = None,
    version: Version = None,
    to: Annotated[str | None, typer.Option("--to", help="Up to this ring. Default: the next one.")] = None,
    json: AsJson = False,
) -> None:
    """Open the next ring of a release.

    Example: edge channel promote /srv/www/birds
    """
    from edge.fleet import publishing

    _print_release(folder, publishing.promote(folder, private_keys(key, folder), version=version, to=to), json)


@app.command()
def withdraw(
    folder: Folder,
    version: Annotated[str, typer.Argument(help="A version or its label.", metavar="VERSION")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the boards' state and logs.")],
    key: Keys = None,
    json: AsJson = False,
) -> None:
    """Take a release back: nobody installs it, and boards that have it go back.

    Example: edge channel withdraw /srv/www/birds 2026.11 --reason "slow on the Pi 4"
    """
    from edge.fleet import publishing

    _print_release(folder, publishing.withdraw(folder, private_keys(key, folder), version, reason), json)


@app.command()
def pause(
    folder: Folder,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the boards' state and logs.")],
    key: Keys = None,
    json: AsJson = False,
) -> None:
    """Let no board install anything; what they have stays, and is still watched.

    Example: edge channel pause /srv/www/birds --reason "three boards are late"
    """
    from edge.fleet import publishing

    _print_channel(folder, publishing.pause(folder, private_keys(key, folder), reason), json)


@app.command()
def resume(folder: Folder, key: Keys = None, json: AsJson = False) -> None:
    """Let boards install again.

    Example: edge channel resume /srv/www/birds
    """
    from edge.fleet import publishing

    _print_channel(folder, publishing.resume(folder, private_keys(key, folder)), json)


@app.command()
def renew(
    folder: Folder,
    key: Keys = None,
    days: Annotated[float | None, typer.Option("--days", help="Days it lasts. Default: as before.")] = None,
    json: AsJson = False,
) -> None:
    """Sign the channel again, so that it does not expire.

    Example: edge channel renew /srv/www/birds
    """
    from edge.fleet import publishing

    _print_channel(folder, publishing.renew(folder, private_keys(key, folder), days=days), json)


@app.command()
def rotate(
    folder: Folder,
    key: Keys = None,
    to: Annotated[Path | None, typer.Option("--to", help="The next private key; made if there is none.")] = None,
    retire: Annotated[str | None, typer.Option("--retire", help="Id of a key that may not sign any more.")] = None,
    json: AsJson = False,
) -> None:
    """Name the key that may sign from now on, or retire one.

    Example: edge channel rotate /srv/www/birds --to new.pem
    """
    from contextlib import nullcontext

    from edge.fleet import publishing
    from edge.fleet.keys import key_taken

    if to is None and retire is None:
        raise ChannelError("Nothing to change: give --to KEY, --retire ID, or both.")
    present = private_keys(key, folder)
    with nullcontext() if to is None else key_taken(to, folder):
        channel = publishing.rotate(folder, present, to=to, retire=retire)
    _print_channel(folder, channel, json)


def _gate(values: list[str]) -> Gate:
    from edge.fleet.health import Gate

    names, default = [one.name for one in fields(Gate)], Gate()
    made: dict[str, Any] = {}
    for text in values:
        name, _, value = text.partition("=")
        if name not in names:
            raise ChannelError(f"invalid --gate '{text}': expected NAME=VALUE, with one of {', '.join(names)}.")
        kind = type(getattr(default, name))
        try:
            made[name] = {"true": True, "false": False}[value] if kind is bool else kind(value)
        except (ValueError, KeyError):
            raise ChannelError(f"invalid --gate '{text}': expected a value as {getattr(default, name)}.") from None
    try:
        return Gate(**made)
    except ValueError as reason:
        raise ChannelError(f"invalid --gate: {reason}.") from reason


def _print_release(folder: Path, release: Release, as_json: bool) -> None:
    """Say how far a release is open."""
    if as_json:
        from dataclasses import asdict

        write_json(asdict(release))
        return
    if release.withdrawn is not None:
        stdout().print(f"{folder}: version {release.title} is withdrawn: {release.withdrawn}.", soft_wrap=True)
        return
    stdout().print(f"{folder}: version {release.title} of {release.bundle_name}", soft_wrap=True)
    rings = table("", "ring", "open", text=("open",))
    for index, ring in enumerate(release.rings):
        rings.add_row(str(ring), "yes" if index < release.open_rings else "not yet")
    stdout().print(rings)
    if release.open_rings < len(release.rings):
        stdout().print(f"The next ring: edge channel promote {shlex.quote(str(folder))}", soft_wrap=True)


def _print_channel(folder: Path, channel: Channel, as_json: bool) -> None:
    if as_json:
        write_json(channel.to_dict())
        return
    from edge.fleet.signed import key_id

    state = f"paused: {channel.paused_reason}" if channel.paused else "boards install"
    keys = ", ".join(key_id(key) for key in channel.keys)
    stdout().print(
        f"{folder}: channel {channel.name}, serial {channel.serial}, {state}; expires {channel.expires}; keys {keys}.",
        soft_wrap=True,
    )
