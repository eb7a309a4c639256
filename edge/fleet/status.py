"""The state of a fleet: what a channel says, beside what its boards told last."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from edge.bundles.bundle import shipped_bundles
from edge.fleet.channel import Channel, Release
from edge.fleet.rings import Board, ring_of
from edge.fleet.state import BadVersion, Phase, timestamp

__all__ = ["BadRelease", "BoardStatus", "FleetStatus", "fleet_status"]

Standing = Literal["current", "changing", "waiting", "failed", "bad", "silent"]
"""``current``: it has what is meant for it. ``changing``: it fetches, tests or watches a version. ``waiting``: for its
turn, or for what ``error`` says. ``failed``: its last step did. ``bad``: a release that counts did badly there.
``silent``: it was not heard of for too long, or never."""
_CHANGING: Final = ("downloading", "testing", "watching")
_EXPIRES_SOON: Final = timedelta(days=7)
_CERTIFICATE_EXPIRES_SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatus:
    """A board as it was heard of last."""

    board_id: str
    host: str = ""
    group: str | None = None
    channel: str | None = None
    ring: str | None = None
    installed: str | None = None
    """None where none is: what ships with the package is in use, if anything does."""
    latest: str | None = None
    phase: Phase | None = None
    """None for a board that is expected and was never heard of."""
    error: str | None = None
    bad: tuple[BadVersion, ...] = ()
    heard: datetime | None = None
    """When; None for a board that is expected and was never heard of."""
    is_late: bool = False
    """Whether over 5 % of the answers of the last minute were late, by any of its cameras."""
    is_hot: bool = False
    """Whether heat or its power supply held it back in the last minute."""
    lost_camera: bool = False
    """Whether a camera gave no frames in the last minute."""
    standing: Standing = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRelease:
    """A release that did badly on some boards."""

    version: str
    label: str | None
    boards: int
    """On how many."""
    reason: str
    """The one that most of them give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """A channel and its boards."""

    channel: Channel
    boards: tuple[BoardStatus, ...]
    bad: tuple[BadRelease, ...]
    """Releases that count and did badly somewhere, the worst first."""
    unreadable: tuple[str, ...] = ()
    """What was heard and cannot be understood, a line each."""
    certificate_expires: datetime | None = None
    """When the certificate of the channel's host expires; None where that is not known."""
    now: datetime

    def count(self, ring: str | None, *standings: Standing) -> int:
        """How many boards of a ring there are, or how many of them that stand so."""
        of_ring = [board for board in self.boards if board.ring == ring]
        return len([board for board in of_ring if not standings or board.standing in standings])

    @property
    def rings(self) -> tuple[str | None, ...]:
        """The rings of the newest release that counts, then those that boards name besides; None for boards in none."""
        counting = [one for one in self.channel.releases if one.withdrawn is None]
        names: list[str | None] = [ring.name for ring in counting[-1].rings] if counting else []
        named = sorted({board.ring for board in self.boards if board.ring})
        return tuple(dict.fromkeys([*names, *named, *([None] if self.count(None) else [])]))

    @property
    def ships_with_the_package(self) -> bool:
        """Whether the channel's bundle ships with the package, which boards use that have installed none."""
        return bool(self.channel.releases) and self.channel.releases[-1].bundle_name in shipped_bundles()

    @property
    def versions(self) -> dict[str | None, int]:
        """How many boards use each version, the most frequent first."""
        return dict(Counter(board.installed for board in self.boards if board.heard is not None).most_common())

    def worse_than(self, boards: int) -> BadRelease | None:
        """The newest release that did badly on more than so many boards, of those that a board may still install.

        One before a release that is open to all boards is not installed any more: pausing the channel for it would only
        hold up the release that fixes it.
        """
        bad = {one.version: one for one in self.bad if one.boards > boards}
        for release in reversed([one for one in self.channel.releases if one.withdrawn is None]):
            if release.version in bad:
                return bad[release.version]
            if any(ring.percent == 100 for ring in release.rings[: release.open_rings]):
                return None
        return None

    def remarks(self) -> list[str]:
        """What needs a person, a line each; empty if all is well."""
        channel, found = self.channel, list[str]()
        if channel.paused:
            found.append(f"the channel is paused: {channel.paused_reason or 'no reason is given'}")
        for when, soon, what in (
            (channel.expires_at, _EXPIRES_SOON, "the channel"),
            (self.certificate_expires, _CERTIFICATE_EXPIRES_SOON, "the certificate of the channel's host"),
        ):
            if when is not None and when - self.now < soon:
                verb = "has expired" if when <= self.now else "expires"
                found.append(f"{what} {verb}: {timestamp(when)}")
        found += [f"{_boards(one.boards)} found version {_title(one)} bad: {one.reason}" for one in self.bad]
        boards = [one for one in self.boards if one.standing != "silent"]
        for count, one, several in (
            (len([board for board in boards if board.standing == "failed"]), "cannot follow the channel", None),
            (len(self.boards) - len(boards), "was not heard of", "were not heard of"),
            (len([board for board in boards if board.is_late]), "answers late", "answer late"),
            (len([board for board in boards if board.is_hot]), "is held back by heat", "are held back by heat"),
            (len([board for board in boards if board.lost_camera]), "lost a camera", None),
        ):
            if count:
                found.append(f"{_boards(count)} {one if count == 1 else several or one}")
        if self.unreadable:
            found.append(f"{len(self.unreadable)} messages cannot be understood, the first: {self.unreadable[0]}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        channel = self.channel
        boards = [{**asdict(one), "heard": None if one.heard is None else timestamp(one.heard)} for one in self.boards]
        keys = ("name", "serial", "created", "expires", "paused", "paused_reason")
        return {
            "time": timestamp(self.now),
            "channel": {key: getattr(channel, key) for key in keys},
            "releases": [
                {
                    "version": one.version,
                    "label": one.label,
                    "withdrawn": one.withdrawn,
                    "rings": [ring.name for ring in one.rings],
                    "open_rings": one.open_rings,
                }
                for one in channel.releases
            ],
            "rings": [{"ring": ring, **self._counts(ring)} for ring in self.rings],
            "versions": [{"version": version, "boards": count} for version, count in self.versions.items()],
            "bad": [asdict(one) for one in self.bad],
            "boards": boards,
            "unreadable": list(self.unreadable),
            "certificate_expires": None if self.certificate_expires is None else timestamp(self.certificate_expires),
            "remarks": self.remarks(),
        }

    def _counts(self, ring: str | None) -> dict[str, int]:
        return {"boards": self.count(ring)} | {standing: self.count(ring, standing) for standing in get_args(Standing)}


def fleet_status(
    channel: Channel,
    heard: Iterable[BoardStatus],
    now: datetime,
    *,
    silent_after: timedelta,
    expected: Sequence[str] = (),
    unreadable: Sequence[str] = (),
    certificate_expires: datetime | None = None,
) -> FleetStatus:
    """Put a channel and what was heard of boards together.

    Args:
        channel: The channel. Boards of other ones are left out.
        heard: What was heard; of a board that was heard of twice, the latest counts.
        now: The time.
        silent_after: After which a board counts as silent.
        expected: The names of boards there have to be.
        unreadable: What was heard and cannot be understood.
        certificate_expires: When the certificate of the channel's host does.
    """
    latest: dict[str, BoardStatus] = {}
    for one in heard:
        known = latest.get(one.board_id)
        if one.channel in (None, channel.name) and (known is None or _heard(known) <= _heard(one)):
            latest[one.board_id] = one
    for name in expected:
        latest.setdefault(name, BoardStatus(board_id=name))
    counting = {one.version: one for one in channel.releases if one.withdrawn is None}
    boards = tuple(_judged(latest[name], channel, counting, now - silent_after) for name in sorted(latest))
    return FleetStatus(
        channel=channel,
        boards=boards,
        bad=_bad(boards, counting.values()),
        unreadable=tuple(unreadable),
        certificate_expires=certificate_expires,
        now=now,
    )


def _judged(board: BoardStatus, channel: Channel, counting: dict[str, Release], since: datetime) -> BoardStatus:
    newest, named = next(reversed(counting.values()), None), board.ring
    with contextlib.suppress(ValueError):  # a target of Prometheus that has no name of its own
        me = Board(id=board.board_id, group=board.group)
        ring = None if newest is None else ring_of(newest.rings, channel.name, me)
        named = named if newest is None or ring is None else newest.rings[ring].name
    return replace(board, ring=named, standing=_standing(board, counting, since))


def _standing(board: BoardStatus, counting: dict[str, Release], since: datetime) -> Standing:
    bad = {one.version for one in board.bad}
    if board.heard is None or board.heard < since:
        return "silent"
    if bad & set(counting):
        return "bad"
    if board.phase == "failed":
        return "failed"
    if board.phase in _CHANGING:
        return "changing"
    return "current" if board.latest is None or board.latest == board.installed else "waiting"


def _bad(boards: Iterable[BoardStatus], releases: Iterable[Release]) -> tuple[BadRelease, ...]:
    found = []
    for release in releases:
        reasons = [one.reason for board in boards for one in board.bad if one.version == release.version]
        if reasons:
            ((reason, _),) = Counter(reasons).most_common(1)
            found.append(BadRelease(version=release.version, label=release.label, boards=len(reasons), reason=reason))
    return tuple(sorted(found, key=lambda one: -one.boards))


def _heard(board: BoardStatus) -> float:
    return 0.0 if board.heard is None else board.heard.timestamp()


def _title(bad: BadRelease) -> str:
    return f"{bad.version} ({bad.label})" if bad.label else bad.version


def _boards(count: int) -> str:
    return f"{count} board{'s' if count != 1 else ''}"
