"""Which release a board installs now, by what the channel says and what the board is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import edge
from edge.fleet.channel import Channel, Release, Runtime
from edge.fleet.rings import Board, ring_of
from edge.fleet.state import parse_time

__all__ = ["Choice", "choose", "lacking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be done."""

    release: Release | None
    """To install now; None for nothing."""
    latest: Release | None
    """The newest one that is meant for this board."""
    ring: str | None
    """The ring of the newest release that this board is in."""
    waits_for: str | None
    """What ``latest`` waits for, one line; None if it waits for nothing."""
    is_withdrawn: bool = False
    """Whether the version in use was withdrawn."""

    @property
    def is_older(self) -> bool:
        """Whether the release may be older than the version in use, because that was withdrawn."""
        return self.is_withdrawn and self.release is not None


def choose(
    channel: Channel,
    board: Board,
    *,
    installed: str | None,
    bad: Collection[str],
    now: datetime,
    passed_over: str | None = None,
    lacks: Callable[[Runtime], str | None] | None = None,
) -> Choice:
    """Choose a release: the newest that is meant for this board, whatever it has missed, and never one step back.

    A board goes back only from a version that was withdrawn.

    Args:
        channel: What the channel says.
        board: Who the board is.
        installed: The version in use.
        bad: Versions that did badly here.
        now: The earliest time that it may be.
        passed_over: The newest release that somebody preferred the version in use to; None if nobody did.
        lacks: What of a release's needs is missing here; None for :func:`lacking`.
    """
    lacks = lacks or lacking
    counting = [one for one in channel.releases if one.withdrawn is None]
    rings = [ring_of(one.rings, channel.name, board) for one in counting]
    meant = [one for one, ring in zip(counting, rings, strict=True) if ring is not None and ring < one.open_rings]
    ring = counting[-1].rings[rings[-1]].name if counting and rings[-1] is not None else None
    latest = meant[-1] if meant else None
    in_use = channel.find(installed)
    is_withdrawn = in_use is not None and in_use.withdrawn is not None
    preferred_to = None if is_withdrawn else channel.find(passed_over)
    known = () if is_withdrawn else (in_use, preferred_to)
    after = max((channel.releases.index(one) for one in known if one is not None), default=-1)
    reasons: list[str] = []
    for release in reversed(meant):
        if channel.releases.index(release) <= after:
            break
        reason = _hindrance(channel, release, bad, now, lacks)
        if reason is None:
            waits_for = reasons[0] if reasons else None
            return Choice(release=release, latest=latest, ring=ring, waits_for=waits_for, is_withdrawn=is_withdrawn)
        reasons.append(reason)
    if is_withdrawn and not reasons and in_use is not None:
        why = f"version {in_use.title} was withdrawn ({in_use.withdrawn})"
        reasons.append(f"{why}, and no other is meant for this board")
    if preferred_to is not None and not reasons and latest is not None and latest.version != installed:
        reasons.append(f"version {installed} was put to use by hand, and stays until there is a newer one")
    waits_for = reasons[0] if reasons else None
    return Choice(release=None, latest=latest, ring=ring, waits_for=waits_for, is_withdrawn=is_withdrawn)


def _hindrance(
    channel: Channel,
    release: Release,
    bad: Collection[str],
    now: datetime,
    lacks: Callable[[Runtime], str | None],
) -> str | None:
    """Why a release is not installed now; None if it is."""
    if release.version in bad:
        return f"version {release.title} did badly on this board"
    if channel.paused:
        return f"the channel is paused{f': {channel.paused_reason}' if channel.paused_reason else ''}"
    if release.not_before is not None and now < parse_time(release.not_before):
        return f"version {release.title} is not to be installed before {release.not_before}"
    missing = lacks(release.runtime)
    return f"version {release.title} needs {missing}" if missing else None


def lacking(runtime: Runtime) -> str | None:
    """What of a release's needs is missing on this machine; None if nothing is."""
    if runtime.minimum is not None and _numbers(edge.__version__) < _numbers(runtime.minimum):
        return f"mobilenet-edge {runtime.minimum} or newer, this is {edge.__version__}: update the package"
    if runtime.backends:
        from edge.inference.backends.registry import backend_reports

        if not any(one.is_available and one.name in runtime.backends for one in backend_reports()):
            return f"one of the backends {', '.join(runtime.backends)}, and none is here: edge doctor says why"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """``0.2.0rc1`` as numbers, so that versions compare; what comes before a release counts as the release."""
    parts = version.split("+")[0].split(".")[:4]
    numbers = [int("".join(c for c in part[: _digits(part)])) if _digits(part) else 0 for part in parts]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _digits(part: str) -> int:
    return next((index for index, c in enumerate(part) if not c.isdigit()), len(part))
