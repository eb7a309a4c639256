"""``edge channel status``: a channel and its boards, for people and for cron; and the brake for a bad release."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from edge.cli.channel_keys import private_keys
from edge.cli.options import AsJson
from edge.combinations import combined, without
from edge.console import note, say, stdout, table, write_json
from edge.errors import ChannelError, UntrustedKeyError, os_reason

if TYPE_CHECKING:
    from edge.fleet.channel import Channel
    from edge.fleet.hearing import Heard
    from edge.fleet.status import FleetStatus

__all__ = ["ATTENTION", "STOPPED", "status"]

ATTENTION: Final = 3
"""Exit code where something needs a person."""
STOPPED: Final = 4
"""Exit code where this call paused the channel."""
_MOST_ROWS: Final = 30


@combined(
    without(("--mqtt", "--prometheus"), "--silent-after"),
    without("--stop-at", "--key", "--folder"),
)
def status(
    place: Annotated[
        str, typer.Argument(help="The channel's URL, or the folder that a static host serves.", metavar="URL|FOLDER")
    ],
    mqtt: Annotated[
        str | None, typer.Option("--mqtt", help="mqtt://USER@HOST: the broker that the boards tell their state.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", help="http://HOST:9090: the Prometheus that asks the boards.")
    ] = None,
    channel_key: Annotated[
        Path | None,
        typer.Option(
            "--channel-key",
            help="Public keys, one of which must have signed it. Default: that of init, or channel.pub.",
        ),
    ] = None,
    expect: Annotated[
        Path | None, typer.Option("--expect", help="The boards there have to be: a file of names, one a line.")
    ] = None,
    silent_after: Annotated[
        float, typer.Option("--silent-after", help="Minutes after which a board counts as silent.", min=1, max=525_600)
    ] = 60.0,
    stop_at: Annotated[
        int | None,
        typer.Option("--stop-at", min=0, metavar="K", help="Pause the channel if a release is bad on over K boards."),
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="Private key to pause it with. Default: where init put it.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The channel's folder here, to pause it, where URL is given.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show the boards of a channel by ring and version, which are bad, and which were not heard of.

    Ends with 0 if all is well, 3 if something needs you, 4 if it has just paused the channel; 1 and 2 are errors.

    Example: edge channel status https://example.com/birds/channel.json --mqtt mqtt://me@broker --stop-at 2 --folder .
    """
    from edge.fleet.status import fleet_status

    if mqtt is not None and prometheus is not None:
        raise ChannelError("--mqtt and --prometheus tell the same: give one of them.")
    if stop_at is not None and mqtt is None and prometheus is None:
        raise ChannelError("--stop-at counts what boards tell: give --mqtt or --prometheus.")
    if expect is not None and mqtt is None and prometheus is None:
        raise ChannelError("--expect names boards that tell their state: give --mqtt or --prometheus.")
    is_url = "://" in place
    if stop_at is not None and is_url and folder is None:
        raise ChannelError("--stop-at writes the channel: give the folder that the host serves, with --folder.")
    expected = _names(expect)
    heard = _hear(mqtt, prometheus)
    channel, certificate_expires = _read(place, channel_key)
    found = fleet_status(
        channel,
        () if heard is None else heard.boards,
        _now(),
        silent_after=timedelta(minutes=silent_after),
        expected=expected,
        unreadable=() if heard is None else heard.unreadable,
        certificate_expires=certificate_expires,
    )
    reason = None if stop_at is None else _stop(found, stop_at, folder or Path(place), key)
    if json:
        write_json({**found.to_dict(), "stopped": reason})
    else:
        _print(found, has_boards=heard is not None)
    if reason is not None:
        say(f"edge: paused the channel: {reason}")
        raise typer.Exit(STOPPED)
    if found.remarks():
        raise typer.Exit(ATTENTION)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _names(path: Path | None) -> list[str]:
    """The names in a file: one a line, with comments behind a #."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        why = os_reason(reason) if isinstance(reason, OSError) else "it is not UTF-8 text"
        raise ChannelError(f"Cannot read the names of boards in {path}: {why}.") from reason
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _hear(mqtt: str | None, prometheus: str | None) -> Heard | None:
    from edge.fleet.hearing import from_mqtt, from_prometheus

    if mqtt is not None:
        return from_mqtt(mqtt)
    return None if prometheus is None else from_prometheus(prometheus)


def _read(place: str, key: Path | None) -> tuple[Channel, datetime | None]:
    """The channel, and when the certificate of its host expires."""
    from edge.fleet.looking import look_at, own_key

    try:
        looked = look_at(place, key, find_key=own_key)
    except UntrustedKeyError as error:
        raise UntrustedKeyError(f"{error} --channel-key KEY checks it with another key.") from error
    if not looked.is_checked:
        note(
            f"the channel's signature is not checked: there is neither channel-{looked.channel.name}.pub nor "
            "channel.pub in the configuration here. --channel-key KEY names a file of public keys"
        )
    return looked.channel, looked.certificate_expires


def _stop(found: FleetStatus, most: int, folder: Path, keys: list[Path] | None) -> str | None:
    """Pause the channel if a release is bad on more boards than allowed; returns why, or None if it was not."""
    worst = found.worse_than(most)
    if worst is None:
        return None
    from edge.fleet import publishing
    from edge.fleet.channel_folder import read_channel

    private = private_keys(keys, folder)
    here = read_channel(folder, private)  # the host may still give the one before
    if here.name != found.channel.name:
        raise ChannelError(f"{folder} holds the channel {here.name}, not {found.channel.name}: nothing was paused.")
    release = here.find(worst.version)
    if here.paused or release is None or release.withdrawn is not None:
        return None
    title = f"{worst.version} ({worst.label})" if worst.label else worst.version
    boards = f"{worst.boards} board{'s' if worst.boards != 1 else ''}"
    reason = f"version {title} is bad on {boards}, more than {most}: {worst.reason}"
    publishing.pause(folder, private, reason, clock=_now)
    return reason


def _print(found: FleetStatus, *, has_boards: bool) -> None:
    channel = found.channel
    state = "paused" if channel.paused else "boards install"
    stdout().print(f"{channel.name}: serial {channel.serial}, {state}, expires {channel.expires}", soft_wrap=True)
    counting = [one for one in channel.releases if one.withdrawn is None]
    if counting:
        newest = counting[-1]
        opened = [ring.name for ring in newest.rings[: newest.open_rings]]
        stdout().print(f"Newest version: {newest.title}, open for {', '.join(opened) or 'no ring'}", soft_wrap=True)
    if has_boards:
        _print_boards(found)
    for remark in found.remarks():
        stdout().print(f"- {remark}", soft_wrap=True)


def _print_boards(found: FleetStatus) -> None:
    rings = table("Boards", "ring", "boards", "current", "changing", "waiting", "failed", "bad", "silent")
    for ring in found.rings:
        counts = (found.count(ring, one) for one in ("current", "changing", "waiting", "failed", "bad", "silent"))
        rings.add_row(ring or "none", str(found.count(ring)), *map(str, counts))
    stdout().print(rings)
    labels = {one.version: one.title for one in found.channel.releases}
    unnamed = "shipped" if found.ships_with_the_package else "none"
    versions = table("Versions", "version", "boards", "bad on")
    bad = {one.version: one.boards for one in found.bad}
    for version in dict.fromkeys([*found.versions, *bad]):
        title = unnamed if version is None else labels.get(version, version)
        versions.add_row(title, str(found.versions.get(version, 0)), str(bad.get(version or "", 0)))
    stdout().print(versions)
    amiss = [board for board in found.boards if board.standing in ("failed", "bad", "silent")]
    if amiss:
        names = ("host", "ring", "phase", "heard", "why")
        rows = table("Not well", "board", *names, text=names)
        for board in amiss[:_MOST_ROWS]:
            last = "never" if board.heard is None else f"{board.heard:%Y-%m-%d %H:%M} UTC"
            why = board.error or (board.bad[-1].reason if board.bad else "")
            rows.add_row(board.board_id, board.host, board.ring or "none", board.phase or "", last, why)
        stdout().print(rows)
        if len(amiss) > _MOST_ROWS:
            stdout().print(f"... and {len(amiss) - _MOST_ROWS} more: --json has them all")
