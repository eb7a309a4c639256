"""The operator's side of a channel: a folder that any static host serves, and what is signed into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from edge.errors import ChannelError
from edge.fleet.channel import Channel, Release
from edge.fleet.channel_folder import DEFAULT_DAYS, Clock, change, create, now_utc, read_channel
from edge.fleet.offering import Offer, add_release
from edge.fleet.signed import key_id, public_key_of
from edge.paths import AnyPath
from edge.text import one_line, shortened

__all__ = [
    "DEFAULT_DAYS",
    "Offer",
    "init",
    "pause",
    "promote",
    "publish",
    "read_channel",
    "renew",
    "resume",
    "rotate",
    "withdraw",
]

_LONGEST_REASON: Final = 300


def init(
    folder: AnyPath, name: str, keys: Sequence[AnyPath], *, days: float = DEFAULT_DAYS, clock: Clock = now_utc
) -> Channel:
    """Begin a channel without releases.

    Args:
        folder: What the static host serves; made if it is not there.
        name: The channel's name, from which the boards' rings follow.
        keys: Private keys, as :func:`edge.fleet.keys.take_key` writes them.
        days: After which its files expire.
        clock: This machine's clock.

    Raises:
        ChannelError: There is a channel already, or its name or the clock cannot be used.
        SignatureError: A key cannot be read.
        OutputError: The folder cannot be written.
    """
    return create(folder, name, keys, days=days, clock=clock)


def publish(
    folder: AnyPath,
    bundle: AnyPath,
    keys: Sequence[AnyPath],
    offer: Offer = Offer(),
    *,
    clock: Clock = now_utc,
    announce: Callable[[str], None] = lambda message: None,
) -> Release:
    """Add a bundle to a channel, for its first ring.

    Args:
        folder: The channel's folder.
        bundle: A ``.zip`` file as :func:`edge.updates.archive.pack` writes it; or a bundle's folder or name.
        keys: Private keys.
        offer: For whom and when.
        clock: This machine's clock.
        announce: Called with a message if the bundle is older than the channel's newest version.

    Raises:
        ChannelError: The channel cannot be read, has this version already, or a newer one that boards do not go back
            from.
        BundleError: The bundle is damaged.
        SignatureError: The keys are not the channel's.
        OutputError: Something cannot be written.
    """
    channel = change(
        folder,
        keys,
        lambda channel, now: add_release(channel, str(bundle), offer, Path(folder), now, announce),
        clock=clock,
    )
    return channel.releases[-1]


def promote(
    folder: AnyPath,
    keys: Sequence[AnyPath],
    *,
    version: str | None = None,
    to: str | None = None,
    clock: Clock = now_utc,
) -> Release:
    """Open the next ring of a release, or all rings up to one.

    Args:
        folder: The channel's folder.
        keys: Private keys.
        version: Which release; None for the newest that was not withdrawn.
        to: A ring's name; None for the next one.
        clock: This machine's clock.

    Raises:
        ChannelError: The channel is paused, or has no such release or ring.
    """
    made: list[Release] = []

    def widen(channel: Channel, now: datetime) -> Channel:
        if channel.paused:
            raise ChannelError(f"The channel is paused ({channel.paused_reason}): edge channel resume lets it go on.")
        release = _found(channel, version)
        names = [ring.name for ring in release.rings]
        if to is not None and to not in names:
            raise ChannelError(f"There is no ring '{to}': expected {' or '.join(names)}.")
        count = release.open_rings + 1 if to is None else names.index(to) + 1
        if count <= release.open_rings or count > len(names):
            last = names[release.open_rings - 1]
            raise ChannelError(f"Version {release.title} is open up to the ring {last}: there is nothing to promote.")
        made.append(replace(release, open_rings=count))
        return _with(channel, made[0])

    change(folder, keys, widen, clock=clock)
    return made[0]


def withdraw(folder: AnyPath, keys: Sequence[AnyPath], version: str, reason: str, *, clock: Clock = now_utc) -> Release:
    """Take a release back: nobody installs it any more, and boards that have it go back to the one before.

    Raises:
        ChannelError: There is no such release.
    """
    made: list[Release] = []

    def take_back(channel: Channel, now: datetime) -> Channel:
        made.append(replace(_found(channel, version), withdrawn=_reason(reason)))
        return _with(channel, made[0])

    change(folder, keys, take_back, clock=clock)
    return made[0]


def pause(folder: AnyPath, keys: Sequence[AnyPath], reason: str, *, clock: Clock = now_utc) -> Channel:
    """Let no board install anything; what they have stays, and is still watched."""
    why = _reason(reason)
    return change(folder, keys, lambda channel, now: replace(channel, paused=True, paused_reason=why), clock=clock)


def resume(folder: AnyPath, keys: Sequence[AnyPath], *, clock: Clock = now_utc) -> Channel:
    """Let boards install again."""
    return change(folder, keys, lambda channel, now: replace(channel, paused=False, paused_reason=None), clock=clock)


def renew(folder: AnyPath, keys: Sequence[AnyPath], *, days: float | None = None, clock: Clock = now_utc) -> Channel:
    """Sign the same again, so that it does not expire; ``days`` changes for how long."""
    return change(folder, keys, lambda channel, now: channel, days=days, clock=clock)


def rotate(
    folder: AnyPath,
    keys: Sequence[AnyPath],
    *,
    to: AnyPath | None = None,
    retire: str | None = None,
    clock: Clock = now_utc,
) -> Channel:
    """Name the key that may sign from now on, or retire one.

    Args:
        folder: The channel's folder.
        keys: Private keys that sign now.
        to: The next private key, which signs too.
        retire: The id of a key that no longer may sign.
        clock: This machine's clock.

    Raises:
        ChannelError: The key to retire is not there, or none of those that sign would be left.
    """
    signers = [*keys, *([to] if to is not None else [])]

    def name(channel: Channel, now: datetime) -> Channel:
        named = dict.fromkeys(channel.keys)
        if to is not None:
            named[public_key_of(Path(to))] = None
        left = [key for key in named if key_id(key) != retire]
        if retire is not None and len(left) == len(named):
            raise ChannelError(f"There is no key {retire}: expected {' or '.join(key_id(key) for key in named)}.")
        if not {public_key_of(Path(key)) for key in signers} & set(left):
            raise ChannelError("None of the keys that sign would be left: give the next one too.")
        return replace(channel, keys=tuple(left))

    return change(folder, signers, name, clock=clock)


def _reason(text: str) -> str:
    """A reason as one line, which each board repeats in its state and its log."""
    if not (line := shortened(one_line(text), _LONGEST_REASON)):
        raise ChannelError("The reason is empty: say why, the boards repeat it.")
    return line


def _found(channel: Channel, version: str | None) -> Release:
    """A release by its version, its label, or the newest."""
    if version is None:
        for release in reversed(channel.releases):
            if release.withdrawn is None:
                return release
        has = "Every release of the channel is withdrawn" if channel.releases else "The channel has no release yet"
        raise ChannelError(f"{has}: edge channel publish adds one.")
    found = [one for one in channel.releases if version in (one.version, one.label)]
    if len(found) > 1:
        several = " and ".join(one.version for one in found)
        raise ChannelError(f"Several releases are called {version}: give one of the versions {several}.")
    if not found:
        known = ", ".join(one.title for one in channel.releases[-5:]) or "none yet"
        raise ChannelError(f"There is no release {version}: expected one of {known}.")
    return found[0]


def _with(channel: Channel, release: Release) -> Channel:
    return replace(
        channel, releases=tuple(release if one.version == release.version else one for one in channel.releases)
    )
