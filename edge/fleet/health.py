"""Whether a newly installed bundle fares as well on a board as the one before. Pure: no clock, no file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge.fleet.baseline import Baseline, bernoulli_margin, mean
from edge.fleet.health_minute import HealthMinute

__all__ = ["Gate", "HealthMinute", "Verdict", "judge"]

_LEAST_MINUTES: Final = 5
_LEAST_FRAMES: Final = 20
"""Answers of a variant in a minute of which a p95 says something."""
_MINUTES_AT_THE_SWITCH: Final = 5
_UP: Final = 0.9
_GONE: Final = 0.02
"""Shares of a minute: above the first the camera was there, below the second it was not."""
_GONE_S: Final = 120.0
_SILENT_S: Final = 180.0
_JITTER_MS: Final = 1.0
"""What a scheduler and a camera's pauses may add to the fastest variants, however many times their p95 that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What is allowed in the minutes after a switch; the object ``gate`` of a release in a channel's file.

    Every field has a default, so ``{}`` is a gate. Shares are from 0 to 1. :func:`judge` says how
    each field is used.
    """

    minutes: float = 30.0
    """Minutes of answers to look at after the switch. Minutes in which the board is off do not count."""
    min_frames: int = 300
    """Answers without which there is no verdict."""
    before_hours: float = 24.0
    """Hours before the switch to compare with; the health record goes back at most 48."""
    max_late_share: float = 0.05
    """Share of answers that may take longer than the budget."""
    p95_over_profile: float = 1.5
    """The p95 of the variant in use may be this many times the p95 of the board's profile."""
    max_restarts: int = 1
    """Times that ``camera-demo`` may be started again, more than was usual, after it ended by itself or was killed."""
    unknown_over_before: float = 0.1
    """The share of unknown answers may be this much higher than before."""
    confidence_under_before: float = 0.1
    """The mean probability of the best class may be this much lower than before."""
    answers_within_minutes: float = 15.0
    """Minutes that ``camera-demo`` may take until it answers with the new version, if it ran before the switch."""
    blames_heat: bool = False
    """Whether minutes in which the board was hot or throttled, or other programs kept it busy, count too."""
    without_camera: Literal["keep", "roll_back"] = "keep"
    """What to do where ``camera-demo`` did not run before the switch and does not after it: nothing can be judged."""

    def __post_init__(self) -> None:
        shares = ("max_late_share", "unknown_over_before", "confidence_under_before")
        ranges = {name: (0.0, 1.0) for name in shares} | {
            "minutes": (1.0, 1440.0),
            "min_frames": (1, 1_000_000),
            "before_hours": (0.0, 48.0),
            "p95_over_profile": (1.0, 100.0),
            "max_restarts": (0, 1000),
            "answers_within_minutes": (1.0, 1440.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} is {value}: expected {low:g} to {high:g}")
        if self.without_camera not in ("keep", "roll_back"):
            raise ValueError(f"without_camera is {self.without_camera!r}: expected keep or roll_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the minutes after a switch say of the new version."""

    outcome: Literal["ok", "worse", "too_early"]
    reasons: tuple[str, ...] = ()
    """Why, one clause each."""


def judge(before: Sequence[HealthMinute], after: Sequence[HealthMinute], gate: Gate) -> Verdict:
    """Compare the minutes after a switch with those before it.

    ==================== =============================================================================================
    rule                 the new version is worse
    ==================== =============================================================================================
    refused              as soon as ``camera-demo`` could not load it
    restarts             as soon as ``camera-demo`` ended by itself or was killed more than ``max_restarts`` times,
                         apart from what was usual before
    camera               if the camera gave frames in the five minutes before the switch, and in two or more after it
                         never; a camera that was away before, or went away later, is not the model's fault
    no answers           if there were answers before, and after the switch the camera gives frames for three minutes
                         and not one is answered
    late                 if the share of late answers is above ``max_late_share`` and above that before
    p95                  if the median of a variant's p95 in each minute is above ``p95_over_profile`` times its p95 in
                         the profile, and above as many times what it was before, by more than a millisecond. Where it
                         was not in use before, it may be twice as much over the profile, which was measured at rest
    unknown              if the share of unknown answers is more than ``unknown_over_before`` above that before
    confidence           if the mean probability is more than ``confidence_under_before`` below that before
    ==================== =============================================================================================

    The last four need ``min_frames`` answers in five minutes (fewer if the gate's window is shorter), and all but the
    p95 leave room for chance (:mod:`edge.fleet.baseline`). Without minutes before, as on a new board, *camera*, *no
    answers*, *unknown* and *confidence* say nothing. The profile's p95 of a variant is the lowest in the record, so
    that a slow version that was measured at a restart is not its own measure.

    Minutes in which the board was hot or throttled, or in which other programs took half a CPU more than before, are
    left out of the last four, unless the gate blames heat; a board that was hot most of the time before is no exception
    when it is hot after. Of several cameras each is compared with itself, and one that is worse is enough.

    It is ``ok`` when nothing is worse, the minutes after are ``gate.minutes`` long, and at least ``min_frames`` answers
    in them count; until then ``too_early``.

    Args:
        before: Minutes with the version before, in order of time; empty on a new board.
        after: Minutes with the new version, in order of time.
        gate: What is allowed.
    """
    worse: list[str] = []
    frames = left_out = 0
    length_min = 0.0
    cameras = list(dict.fromkeys(minute.camera for minute in after))
    for camera in cameras:
        old, new = (_of(minutes, camera) for minutes in (before, after))
        usable_old, usable = _comparable(old, old, gate), _comparable(old, new, gate)
        found = [*_running(old, new, gate)]
        answered = sum(minute.frames for minute in usable)
        if answered >= gate.min_frames and len(usable) >= _least_minutes(gate):
            found += [*_answering(usable_old, usable, gate), *_slow(usable_old, usable, _profile([*old, *new]), gate)]
        worse += [f"{camera}: {reason}" if len(cameras) > 1 else reason for reason in found]
        frames, left_out = frames + answered, left_out + len(new) - len(usable)
        length_min = max(length_min, sum(minute.seconds for minute in new) / 60)
    if worse:
        return Verdict(outcome="worse", reasons=tuple(worse))
    missing = []
    if length_min < gate.minutes:
        missing.append(f"{length_min:.0f} of {gate.minutes:g} minutes are over")
    if frames < gate.min_frames:
        missing.append(f"{frames} of {gate.min_frames} answers came")
    if left_out:
        missing.append(f"{left_out} minutes do not count: the board was hot or busy, or gave no answers")
    return Verdict(
        outcome="too_early" if frames < gate.min_frames or length_min < gate.minutes else "ok", reasons=tuple(missing)
    )


def _least_minutes(gate: Gate) -> int:
    return min(_LEAST_MINUTES, math.ceil(gate.minutes))


def _of(minutes: Sequence[HealthMinute], camera: str) -> list[HealthMinute]:
    return [minute for minute in minutes if minute.camera == camera]


def _comparable(before: Sequence[HealthMinute], minutes: Sequence[HealthMinute], gate: Gate) -> list[HealthMinute]:
    """The minutes with answers, without those in which something else than the model was to blame."""
    answered = [minute for minute in minutes if minute.frames]
    if gate.blames_heat:
        return answered
    loads = [minute.load_percent for minute in before or minutes if minute.load_percent is not None]
    usual = statistics.median(loads) if loads else 0.0
    is_hot_place = sum(minute.hot for minute in before) * 2 > len(before)
    return [one for one in answered if not one.is_busier(usual) and (is_hot_place or not one.hot)]


def _running(before: Sequence[HealthMinute], after: Sequence[HealthMinute], gate: Gate) -> Iterator[str]:
    """What is wrong with the program and its camera."""
    yield from dict.fromkeys(f"it could not be loaded: {minute.refused}" for minute in after if minute.refused)
    last, length_s = before[-_MINUTES_AT_THE_SWITCH:], sum(minute.seconds for minute in after)
    restarts, before_s = sum(minute.restarts for minute in after), sum(minute.seconds for minute in before)
    usual = sum(minute.restarts for minute in before) * length_s / before_s if before_s else 0.0
    if restarts > gate.max_restarts + usual:
        yield f"camera-demo was started again {restarts} times: {gate.max_restarts + usual:.0f} allowed"
    best = max((minute.source_up for minute in after), default=0.0)
    was_up = bool(last) and all(minute.source_up >= _UP for minute in last)
    if was_up and length_s >= _GONE_S and best <= _GONE:
        yield "the camera was there before the switch, and gave no frame after it"
    up_s = sum(minute.seconds * minute.source_up for minute in after)
    if sum(minute.frames for minute in last) and not sum(minute.frames for minute in after) and up_s >= _SILENT_S:
        yield "there were answers before the switch, and none after it"


def _answering(before: Sequence[HealthMinute], after: Sequence[HealthMinute], gate: Gate) -> Iterator[str]:
    """What is wrong with its answers."""
    weights, old_weights = ([float(minute.frames) for minute in minutes] for minutes in (after, before))
    late = mean([minute.late_share for minute in after], weights)
    old = Baseline.of([minute.late_share for minute in before], old_weights) if before else None
    allowed = max(gate.max_late_share, old.mean if old else 0.0)
    margin = bernoulli_margin(allowed, weights)
    margin = min(margin, old.margin(weights)) if old else margin
    if late > allowed + margin:
        yield f"{late:.1%} of answers were late: {allowed:.1%} allowed{_chance(margin)}"
    if not before:
        return
    was = Baseline.of([minute.unknown_share for minute in before], old_weights)
    unknown, margin = mean([minute.unknown_share for minute in after], weights), was.margin(weights)
    if unknown > was.mean + gate.unknown_over_before + margin:
        allowed = was.mean + gate.unknown_over_before
        yield f"{unknown:.1%} of answers were unknown, {was.mean:.1%} before: {allowed:.1%} allowed{_chance(margin)}"
    was = Baseline.of([minute.confidence or 0.0 for minute in before], old_weights)
    confidence, margin = mean([minute.confidence or 0.0 for minute in after], weights), was.margin(weights)
    if confidence < was.mean - gate.confidence_under_before - margin:
        least = was.mean - gate.confidence_under_before
        yield f"the mean confidence was {confidence:.3f}, {was.mean:.3f} before: at least {least:.3f}{_chance(margin)}"


def _profile(minutes: Sequence[HealthMinute]) -> dict[str, float]:
    """The lowest p95 of each variant in any profile, in milliseconds."""
    found: dict[str, float] = {}
    for name, p95_ms in (item for minute in minutes for item in minute.profile_p95_ms.items()):
        found[name] = min(p95_ms, found.get(name, p95_ms))
    return found


def _slow(
    before: Sequence[HealthMinute], after: Sequence[HealthMinute], profile: Mapping[str, float], gate: Gate
) -> Iterator[str]:
    """Variants whose answers take too long."""
    for name in dict.fromkeys(name for minute in after for name in minute.variants):
        found, was = (_p95_ms(minutes, name, _least_minutes(gate)) for minutes in (after, before))
        known = [p95_ms for p95_ms in (profile.get(name), was) if p95_ms is not None]
        if found is None or not known:
            continue
        ratio = gate.p95_over_profile if was is not None else 2 * gate.p95_over_profile - 1
        allowed_ms = ratio * max(known)
        if found > allowed_ms and found > max(known) + _JITTER_MS:
            yield f"the p95 of {name} was {found:.1f} ms: {allowed_ms:.1f} ms allowed"


def _p95_ms(minutes: Sequence[HealthMinute], name: str, least: int) -> float | None:
    """The median of a variant's p95 in the minutes that have enough answers of it; None for too few of them."""
    values = [
        m.variants[name].p95_ms for m in minutes if name in m.variants and m.variants[name].frames >= _LEAST_FRAMES
    ]
    return statistics.median(values) if len(values) >= least else None


def _chance(margin: float) -> str:
    return f", and {margin:.3f} for chance"
