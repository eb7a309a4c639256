"""Watching a version that has just come to use: it stays, or the one before comes back and it is remembered as bad.

==================================================== ==============================================================
seen since the switch                                what follows
==================================================== ==============================================================
minutes that are worse (:func:`edge.fleet.health`)    roll back, as soon as that is clear
a whole window that is not                            the version stays
``camera-demo`` refused the version                   roll back
``camera-demo`` ran before, and for                   roll back: it does not start, or goes on with the old version
``answers_within_minutes`` not with this version
it answered, then fell silent for as long             roll back, unless it was asked to end
it did not run before, and does not now               after as long: what ``without_camera`` says
too few answers for twice the window                  the version stays: nothing speaks against it
==================================================== ==============================================================

Time counts only while the board runs: never more than has passed since it was started. So a board that was off for a
month is watched on, and one whose clock was behind until it was set has not waited in vain.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from edge.board.device import read_line
from edge.errors import EdgeError, OutputError
from edge.fleet.clock import EARLIEST
from edge.fleet.health import Gate, Verdict, judge
from edge.fleet.health_minute import HealthMinute
from edge.fleet.health_record import read_minutes, record_files
from edge.fleet.state import FollowState
from edge.fleet.timestamps import parse_time, timestamp
from edge.updates.install import roll_back

__all__ = ["Clocks", "Outcome", "decide", "watch"]

_AROUND_S: Final = 120.0
"""A minute that ended so long before the switch may still be of after it: a killed step notes its switch late."""
_RECENT_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The board's clocks at one moment."""

    now: datetime
    uptime_s: float
    boot: str = ""
    """As :attr:`HealthMinute.boot`."""

    def since_s(self, then: datetime) -> float:
        """Seconds in which the board ran since a moment: of one that is yet to come by the clock, since its start."""
        past_s = (self.now - then).total_seconds()
        return min(past_s, self.uptime_s) if past_s >= 0 else self.uptime_s

    def believes(self, then: datetime) -> bool:
        """Whether a moment can have been."""
        return EARLIEST <= then <= self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of a version."""

    action: Literal["keep", "wait", "roll_back"]
    reasons: tuple[str, ...] = ()


def watch(state: FollowState, *, bundles: Path, key: Path | None, backend: str, now: datetime) -> FollowState:
    """Judge the version in use, at each step in the phase ``watching``.

    Args:
        state: ``installed`` is watched since ``since``, and must hold ``gate``; ``previous`` was in use before.
        bundles: Where bundles are installed.
        key: As :func:`edge.updates.install.roll_back` takes it.
        backend: What the self-test of a roll-back runs on.
        now: This board's clock.

    Returns:
        The same phase while it is too early; ``idle`` where the version stays; ``rolled_back`` where it does not.
        Then ``installed`` and ``previous`` are as ``active.json`` has them, and the version is in ``bad``. A version
        that is worse and cannot be rolled back, because there is none before it, is in ``bad`` and stays.

    Raises:
        OutputError: The roll-back cannot be written; to be tried again.
    """
    version, name = state.installed, state.bundle
    if version is None or name is None:
        return state.in_phase("idle", now)
    outcome = decide(state, read_minutes(record_files(bundles.parent)), _this_board(now))
    if outcome.action == "wait":
        return _waiting(state, outcome, now)
    if outcome.action == "keep":
        return state.in_phase("idle", now)
    reason = "; ".join(outcome.reasons)
    try:
        found = roll_back(name, key=key, backend=backend, folder=bundles).installed
    except OutputError:
        raise
    except EdgeError as error:
        return state.with_bad(version, f"{reason}. It stays: {error}", now).in_phase("idle", now, error=str(error))
    state = replace(state.with_bad(version, reason, now), installed=found.active, previous=found.previous)
    return state.in_phase("rolled_back", now, error=state.bad[-1].reason)


def decide(state: FollowState, minutes: Sequence[HealthMinute], clocks: Clocks) -> Outcome:
    """What becomes of the version that a state watches, by the health record.

    Args:
        state: As for :func:`watch`.
        minutes: The record, in the order in which it was written.
        clocks: The board's clocks.
    """
    gate, since = state.gate or Gate(), parse_time(state.since)
    before, after = _split(state, minutes, clocks)
    running_s = clocks.since_s(since)
    verdict = judge(before, after, gate)
    if verdict.outcome == "worse":
        return Outcome(action="roll_back", reasons=verdict.reasons)
    if verdict.outcome == "ok":
        return Outcome(action="keep")
    limit_s = 60 * gate.answers_within_minutes
    if not any(minute.seconds for minute in after):
        if running_s < limit_s:
            return Outcome(action="wait", reasons=verdict.reasons)
        return _unanswered(state, gate, minutes, after, clocks)
    return _with_few_answers(after, verdict, gate, running_s, clocks)


def _split(
    state: FollowState, minutes: Sequence[HealthMinute], clocks: Clocks
) -> tuple[list[HealthMinute], list[HealthMinute]]:
    """The minutes before and after the switch, of the bundle alone: as far as the order in the record tells.

    Before are those of other versions that were not bad, as many hours as the gate says; after are those of the
    version since any other one was last in use, and what ``camera-demo`` says of refusing it.
    """
    gate, version, since = state.gate or Gate(), state.installed or "", parse_time(state.since)
    own = [minute for minute in minutes if minute.bundle == state.bundle]
    is_believed = clocks.believes(since)
    before: list[HealthMinute] = []
    after: list[HealthMinute] = []
    for camera in dict.fromkeys(minute.camera for minute in own):
        of_camera = [minute for minute in own if minute.camera == camera]
        first = max((n + 1 for n, minute in enumerate(of_camera) if minute.version != version), default=0)
        late_enough = since - timedelta(seconds=_AROUND_S)
        new = [one for one in of_camera[first:] if not is_believed or parse_time(one.ended) >= late_enough]
        last = of_camera[-1]
        if last.refused.startswith(f"{version}:") and (not is_believed or parse_time(last.ended) >= late_enough):
            new.append(
                replace(last, version=version, seconds=0.0, frames=0, late=0, unknown=0, variants={}, restarts=0)
            )
        after += new
        seconds = 0.0
        old: list[HealthMinute] = []
        for minute in reversed(of_camera[:first]):
            seconds += minute.seconds
            if seconds > 3600 * gate.before_hours:
                break
            if minute.version != version and minute.version not in state.bad_versions:
                old.append(minute)
        before += old[::-1]
    return before, after


def _unanswered(
    state: FollowState, gate: Gate, minutes: Sequence[HealthMinute], after: Sequence[HealthMinute], clocks: Clocks
) -> Outcome:
    """What becomes of a version that ``camera-demo`` did not answer with in time."""
    last = _last_before(state, minutes, clocks)
    if last is None and not after:
        reason = "no camera-demo runs here with this bundle, so nothing can be judged"
        return Outcome(action=gate.without_camera, reasons=(reason,))
    goes_on = last is not None and clocks.believes(parse_time(last.ended)) and last.ended > state.since
    what = f"still answers with version {last.version}" if last is not None and goes_on else "gave no answer with it"
    reason = f"camera-demo {what} {gate.answers_within_minutes:g} minutes after the switch"
    return Outcome(action="roll_back", reasons=(reason,))


def _last_before(state: FollowState, minutes: Sequence[HealthMinute], clocks: Clocks) -> HealthMinute | None:
    """The last minute of another version, if ``camera-demo`` ran with this bundle at the switch; else None.

    It did if its last word is not that it was asked to end, and is not old; or is of another run of the board, which
    lost its power.
    """
    since = parse_time(state.since)
    for camera in dict.fromkeys(minute.camera for minute in minutes):
        last = [one for one in minutes if one.camera == camera and one.version != state.installed][-1:]
        if not last or last[0].bundle != state.bundle or last[0].stopped:
            continue
        ended, boot = parse_time(last[0].ended), last[0].boot
        is_recent = (since - ended).total_seconds() <= _RECENT_S or not clocks.believes(since)
        if is_recent or (clocks.boot and boot and boot != clocks.boot):
            return last[0]
    return None


def _with_few_answers(
    after: Sequence[HealthMinute], verdict: Verdict, gate: Gate, running_s: float, clocks: Clocks
) -> Outcome:
    """What becomes of a version with too few answers for a verdict."""
    limit_s, newest = 60 * gate.answers_within_minutes, max(after, key=lambda minute: minute.ended_at_s)
    ended = parse_time(newest.ended)
    silent_s = clocks.since_s(ended) if clocks.believes(ended) else 0.0
    if silent_s >= limit_s and not newest.stopped:
        reason = f"camera-demo gave no sign of life for {silent_s / 60:.0f} minutes"
        return Outcome(action="roll_back", reasons=(reason,))
    length_s = sum(minute.seconds for minute in after if minute.camera == newest.camera)
    if max(length_s, running_s - limit_s) >= 120 * gate.minutes:
        return Outcome(action="keep", reasons=verdict.reasons)
    return Outcome(action="wait", reasons=verdict.reasons)


def _waiting(state: FollowState, outcome: Outcome, now: datetime) -> FollowState:
    """The state while it is too early, with when the window ends as far as can be told."""
    until = state.watching_until
    if until is None or parse_time(until) <= now:
        until = timestamp(now + timedelta(minutes=(state.gate or Gate()).minutes))
    return replace(state, watching_until=until)


def _this_board(now: datetime) -> Clocks:
    boot = (read_line(Path("/proc/sys/kernel/random/boot_id")) or "")[:8]
    return Clocks(
        now=now, uptime_s=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), boot=boot
    )
