"""Keep a latency budget while a board heats up and others take its CPU: latencies in, the variant to run out.

One number drives it, the slowdown: the 95th percentile over the last second of each frame's latency divided by the p95
that its variant has in the profile. Slowdown times profiled p95 is what *any* variant would take now, so one look at
the operating points leads straight to the right one, without trying those between.

:func:`decide` is pure: no clock, no file, no thread. :class:`edge.control.controller.Controller` keeps its state, and
:class:`edge.AdaptiveClassifier` gives it the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from edge.board.health import LOAD_LIMIT_PERCENT, Health
from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.control.backoff import Backoff
from edge.control.thermal import Thermal, on_health
from edge.operating_points import OperatingPoint

__all__ = ["Cause", "Change", "FrameTime", "Observation", "Pin", "Release", "State", "decide"]

Cause = Literal["slow", "recovered", "hot", "budget", "pinned", "released"]
"""Why the variant changed: frames were late, or in time for long; heat; a new budget; you pinned or released it."""
WINDOW_S: Final = 1.0
"""Older frames no longer count, except the last :data:`LEAST_FRAMES` where frames are slow."""
LEAST_FRAMES: Final = 3
DOWNGRADE_MARGIN: Final = 0.9
"""Share of the budget that a faster variant may be expected to take when frames are late."""
UPGRADE_MARGIN: Final = 0.95
"""Share of the budget that a better variant may be expected to take."""
HEAT_RELIEF: Final = 0.7
"""Share of the work that is left after a step down because of heat."""
CROWDED_PERCENT: Final = 50.0
"""Work of other processes, in percent of one CPU, that makes threads wait for each other at every layer."""
GAP_S: Final = 10.0
"""After this long without an observation, or when the clock jumps back, earlier ones no longer count."""
_LEAST_RATIO: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the variant and its reason."""

    at_s: float
    before: Variant
    after: Variant
    cause: Cause
    reason: str
    """The cause with its figures, as a clause."""

    def __str__(self) -> str:
        return f"{self.before.name} -> {self.after.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FrameTime:
    """A frame that ``variant`` answered in ``latency_ms``."""

    variant: Variant
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Pin:
    """Run this variant until :class:`Release`."""

    variant: Variant


@dataclass(frozen=True, slots=True)
class Release:
    """Choose the variant again."""


Observation = FrameTime | Health | Budget | Pin | Release


class State(NamedTuple):
    """Everything the next decision depends on. A named tuple, because a new one is made for every frame."""

    points: tuple[OperatingPoint, ...]
    """What may be chosen: the Pareto front, fastest first."""
    loaded: Mapping[Variant, OperatingPoint]
    """Every loaded variant, on the front or not: any of them can be pinned."""
    budget: Budget
    running: OperatingPoint
    pinned: Variant | None = None
    ratios: tuple[tuple[float, float], ...] = ()
    """(time, latency over profiled p95) of the last second's frames."""
    slowdown: float = 1.0
    room: tuple[float, OperatingPoint] | None = None
    """Since when a better point has had room, and the least of those that had."""
    is_cold: bool = False
    """Whether the next frame is the first of a variant, which says nothing about those after it."""
    backoff: Backoff = Backoff()
    thermal: Thermal = Thermal()
    is_crowded: bool = False
    """Whether other processes take CPUs."""
    has_fewer_threads: bool = False
    """Whether every variant runs on fewer threads than in its profile."""
    now_s: float | None = None

    @property
    def expected_p95_ms(self) -> float:
        """The expected 95th percentile of the running variant."""
        return self.slowdown * self.running.p95_ms

    def best_within(self, p95_ms: float) -> OperatingPoint:
        """The best point with at most that profiled p95, else the fastest."""
        return next((point for point in reversed(self.points) if point.p95_ms <= p95_ms), self.points[0])

    def best_now(self, margin: float = 1.0) -> OperatingPoint:
        """The best point expected to meet that share of the budget, else the fastest."""
        return self.best_within(margin * self.budget.latency_ms / self.slowdown)


def decide(state: State, observation: Observation, now_s: float) -> tuple[State, Change | None]:
    """What one observation leads to.

    =========  ==================================================  ========================================  =========
    Seen       When                                                Next variant                              Cause
    =========  ==================================================  ========================================  =========
    frame      two frames or more put the last second's p95 over   the same one, on fewer threads
               the budget while other processes take CPUs
    frame      the same otherwise, or on fewer threads already     the best expected within 90 % of the      slow
                                                                   budget, else the fastest
    frame      a better one has had room (95 % of the budget, or   the least of those that had room          recovered
               where downgrades began and their cause is over)
               for the backoff's wait; the board is not hot
    health     other processes leave the CPUs                      the same one, on all of its threads
    health     hot, about to be, or throttled; 20 s after the      the best with at most 70 % of the         hot
               last such step                                      running one's p95
    budget     another one is set                                  the best expected within it               budget
    pin        that variant is loaded                              that one                                  pinned
    release                                                        the best expected within the budget       released
    =========  ==================================================  ========================================  =========

    While a variant is pinned only ``pin`` and ``release`` change it. A better variant is never taken while the board is
    hot, cools down or lacks power. Impossible values (a latency that is not a positive number, a variant that is not
    loaded, a time that is not a number) change nothing; nor does the first frame after a change. On another number of
    threads the slowdown is measured from the start.

    Args:
        state: The state so far.
        observation: One frame's latency, one look at the board, or a wish.
        now_s: Seconds of one clock, any clock; it may even jump.

    Returns:
        The new state, and the change of the variant, which holds from the next frame on.
    """
    if math.isfinite(now_s):
        state = _at(state, now_s)
    elif isinstance(observation, (FrameTime, Health)):
        return state, None
    match observation:
        case FrameTime():
            return _on_frame(state, observation, now_s)
        case Health():
            thermal, reason = on_health(state.thermal, observation, now_s)
            state = state._replace(thermal=thermal, backoff=state.backoff.on_load(observation.load_percent))
            state = _on_load(state, observation.load_percent)
            cooler = state.best_within(HEAT_RELIEF * state.running.p95_ms)
            if reason is None or state.pinned is not None or cooler.p95_ms >= state.running.p95_ms:
                return state, None
            return _changed(state, cooler, "hot", reason, now_s)
        case Budget():
            state = state._replace(budget=observation)
            return (state, None) if state.pinned else _reconsidered(state, "budget", now_s)
        case Pin():
            state = state._replace(pinned=observation.variant)
            return _changed(state, state.loaded[observation.variant], "pinned", "you pinned it", now_s)
        case Release():
            return _reconsidered(state._replace(pinned=None), "released", now_s)


def _at(state: State, now_s: float) -> State:
    """The state at ``now_s``: without what is too old, and without all times where the clock jumped."""
    if state.now_s is not None and not 0 <= now_s - state.now_s <= GAP_S:
        thermal, backoff = state.thermal.after_jump(), state.backoff.after_jump()
        state = state._replace(ratios=(), slowdown=1.0, room=None, thermal=thermal, backoff=backoff)
    ratios, first = state.ratios, 0
    while len(ratios) - first > LEAST_FRAMES and ratios[first][0] < now_s - WINDOW_S:
        first += 1
    return state._replace(now_s=now_s, ratios=ratios[first:] if first else ratios)


def _on_frame(state: State, frame: FrameTime, now_s: float) -> tuple[State, Change | None]:
    point = state.loaded.get(frame.variant)
    if point is None or not (math.isfinite(frame.latency_ms) and frame.latency_ms > 0):
        return state, None
    if state.is_cold and frame.variant == state.running.variant:
        return state._replace(is_cold=False), None
    ratios = (*state.ratios, (now_s, max(_LEAST_RATIO, frame.latency_ms / point.p95_ms)))
    ordered = sorted([ratio for _, ratio in ratios])
    state = state._replace(ratios=ratios, slowdown=ordered[math.ceil(0.95 * len(ordered)) - 1])
    if state.pinned is not None:
        return state, None
    limit = state.budget.latency_ms / state.running.p95_ms
    if state.slowdown > limit and sum(ratio > limit for ratio in ordered) >= 2:
        if state.is_crowded and not state.has_fewer_threads:
            return _on_other_threads(state, has_fewer=True), None
        target = state.best_now(DOWNGRADE_MARGIN)
        state = state._replace(room=None)
        if target.p95_ms < state.running.p95_ms:
            return _downgraded(state, target, now_s)
    return _upgraded(state, now_s)


def _on_load(state: State, load_percent: float | None) -> State:
    """Whether threads get in each other's way: not known from a board that does not say its load."""
    load = load_percent or 0.0
    is_crowded = load > (LOAD_LIMIT_PERCENT if state.is_crowded else CROWDED_PERCENT)
    state = state._replace(is_crowded=is_crowded)
    return _on_other_threads(state, has_fewer=False) if state.has_fewer_threads and not is_crowded else state


def _on_other_threads(state: State, *, has_fewer: bool) -> State:
    room = None if has_fewer else state.room  # all threads are no slower
    return state._replace(has_fewer_threads=has_fewer, ratios=(), slowdown=1.0, room=room, is_cold=True)


def _downgraded(state: State, target: OperatingPoint, now_s: float) -> tuple[State, Change | None]:
    reason = (
        f"p95 of the last second {state.expected_p95_ms:.1f} ms, budget {state.budget.latency_ms:.1f} ms, "
        f"{state.slowdown:.2f} times the profile"
    )
    state = state._replace(backoff=state.backoff.on_downgrade(state.running, state.slowdown, now_s))
    return _changed(state, target, "slow", reason, now_s)


def _upgraded(state: State, now_s: float) -> tuple[State, Change | None]:
    """Take a better variant once it has had room, with margin, for long enough."""
    target, back = state.best_now(UPGRADE_MARGIN), state.backoff.recovery_target(state.slowdown)
    if back is not None and back.p95_ms > target.p95_ms:
        target = back
    if target.p95_ms <= state.running.p95_ms or state.thermal.forbids_more_work(now_s):
        return (state if state.room is None else state._replace(room=None)), None
    since_s, least = state.room or (now_s, target)
    least = target if target.p95_ms < least.p95_ms else least
    if now_s - since_s < state.backoff.wait_s:
        return state._replace(room=(since_s, least)), None
    # It is on trial: two late frames of its own are enough to go back.
    state = state._replace(backoff=state.backoff.on_upgrade(least, now_s), ratios=(), slowdown=1.0)
    return _changed(state, least, "recovered", f"it has had room for {now_s - since_s:.1f} s", now_s)


def _reconsidered(state: State, cause: Cause, now_s: float) -> tuple[State, Change | None]:
    """Begin again with the best variant for what is seen now."""
    state = state._replace(backoff=state.backoff.restarted())
    best = state.best_now()
    if best.p95_ms > state.running.p95_ms and state.thermal.forbids_more_work(now_s):
        return state, None
    reason = f"the budget is now {state.budget.latency_ms:.1f} ms" if cause == "budget" else "automatic again"
    return _changed(state, best, cause, reason, now_s)


def _changed(
    state: State, point: OperatingPoint, cause: Cause, reason: str, now_s: float
) -> tuple[State, Change | None]:
    if point.variant == state.running.variant:
        return state._replace(room=None), None
    change = Change(at_s=now_s, before=state.running.variant, after=point.variant, cause=cause, reason=reason)
    return state._replace(running=point, is_cold=True, room=None), change
