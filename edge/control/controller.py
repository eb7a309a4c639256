"""Hold a latency budget while a board heats up and others take its CPU: seen times in, the variant to run out.

The controller keeps one number, the slowdown: the 95th percentile over the last second of each frame's time divided
by the 95th percentile that its variant has in the profile. Slowdown times profiled p95 is what *any* variant would
take now, so one look at the ladder leads straight to the right one, without trying those between.

It is pure: no clock, no file, no thread. :class:`edge.control.adaptive.AdaptiveClassifier` gives it those.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.board.health import Health
from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.control.backoff import Patience
from edge.control.ladder import Rung, front
from edge.control.slowdown import Slowdown
from edge.control.thermal import Heat
from edge.errors import NoVariantFits, VariantError

__all__ = ["Cause", "Change", "Controller", "Tuning"]

Cause = Literal["slow", "recovered", "hot", "budget", "pinned", "released"]
"""Why a variant was changed: frames were late, they have long been in time, heat, or somebody's wish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How fast the controller reacts. The defaults suit 5 to 200 frames a second."""

    window_s: float = 1.0
    """Frames older than this no longer count, but for the last few where frames are slow."""
    fall_margin: float = 0.9
    """Share of the budget that a faster variant may be expected to take when it is chosen because frames are late."""
    climb_margin: float = 0.95
    """Share of the budget that a better variant may be expected to take when it is chosen again."""
    quiet_s: float = 3.0
    """How long a better variant must have had room before it is taken."""
    longest_quiet_s: float = 60.0
    """The quiet time doubles up to this each time a better variant turned out too slow. It is four times as long while
    the load lasts that made frames late."""
    gap_s: float = 10.0
    """After so long without a frame, or when the clock jumps, what was seen before is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the variant and why."""

    at_s: float
    before: Variant
    after: Variant
    cause: Cause
    reason: str
    """The cause with its figures, as a clause."""

    def __str__(self) -> str:
        return f"{self.before.name} -> {self.after.name}: {self.reason}"


class Controller:
    """Which variant to run now. All times are seconds of one clock, any clock; it may even jump.

    >>> controller = Controller(rungs_of(bundle, profile, budget), budget)
    >>> controller.saw(controller.variant, prediction.total_ms, now_s)  # after each frame: a Change, or None
    """

    def __init__(
        self, rungs: Sequence[Rung], budget: Budget, *, tuning: Tuning = Tuning(), heat: Heat | None = None
    ) -> None:
        """Begin with the best variant that meets the budget by its profile, or the fastest if none does.

        Args:
            rungs: The variants to choose among, in any order.
            budget: What to hold; its percentile is taken to be p95.
            tuning: How fast to react.
            heat: Watches the temperature; None for one with the default limit.

        Raises:
            NoVariantFits: There are no rungs.
        """
        if not rungs:
            raise NoVariantFits("There is no variant to choose from.")
        self._rungs = {rung.variant: rung for rung in rungs}
        self._ladder = front(rungs)
        self._tuning, self._heat = tuning, heat or Heat()
        self._budget = budget
        self._pinned: Variant | None = None
        self._slowdown = Slowdown(tuning.window_s)
        self._patience = Patience(tuning.quiet_s, tuning.longest_quiet_s)
        self._now_s: float | None = None
        self._quiet: tuple[float, Rung] | None = None
        self._is_first_run = False
        self._rung = self._best(1.0, 1.0)
        self.changes: Counter[Cause] = Counter()
        """How often the variant was changed, by cause."""
        self.last_change: Change | None = None

    @property
    def variant(self) -> Variant:
        """The variant to run now."""
        return self._rung.variant

    @property
    def budget(self) -> Budget:
        """What is held."""
        return self._budget

    @property
    def pinned(self) -> Variant | None:
        """The variant that somebody fixed; None while the controller chooses."""
        return self._pinned

    @property
    def slowdown(self) -> float:
        """How many times the profile's p95 frames took in the last second; 1 before there is a frame."""
        return self._slowdown.now

    @property
    def expected_p95_ms(self) -> float:
        """What the 95th percentile of the variant now running is expected to be."""
        return self.slowdown * self._rung.p95_ms

    @property
    def is_holding(self) -> bool:
        """Whether the variant now running is expected to meet the budget; False where even the fastest does not."""
        return self.expected_p95_ms <= self._budget.latency_ms

    def saw(self, variant: Variant, latency_ms: float, now_s: float) -> Change | None:
        """Take in one frame that ``variant`` answered in ``latency_ms``.

        A time that cannot be (not finite, not positive) or a variant that is not on the ladder counts for nothing,
        nor does the first frame after a change: its memory was cold.

        Returns:
            The change that this frame brings about, which holds from the next frame on.
        """
        if not self._tick(now_s) or variant not in self._rungs or not (math.isfinite(latency_ms) and latency_ms > 0):
            return None
        if self._is_first_run and variant == self.variant:
            self._is_first_run = False
            return None
        self._slowdown.add(latency_ms / self._rungs[variant].p95_ms, now_s)
        if self._pinned is not None:
            return None
        return self._step_down(now_s) or self._step_up(now_s)

    def felt(self, health: Health, now_s: float) -> Change | None:
        """Take in a look at the machine: temperature, throttle bits and load. What is not known counts for nothing.

        Returns:
            The change that heat makes necessary.
        """
        if not self._tick(now_s):
            return None
        self._patience.felt(health.load_percent)
        reason = self._heat.felt(health, now_s)
        if reason is None or self._pinned is not None:
            return None
        cooler = self._highest(self._heat.tuning.relief * self._rung.p95_ms)
        return self._change(cooler, "hot", reason, now_s) if cooler.p95_ms < self._rung.p95_ms else None

    def set_budget(self, budget: Budget, now_s: float) -> Change | None:
        """Hold another budget from now on; the best variant for it is taken at once, unless one is pinned."""
        self._budget = budget
        self._tick(now_s)
        return None if self._pinned else self._reconsider("budget", f"the budget is now {_ms(budget)}", now_s)

    def pin(self, variant: Variant, now_s: float) -> Change | None:
        """Run ``variant`` whatever it takes, until :meth:`release`.

        Raises:
            VariantError: It is not on the ladder.
        """
        if variant not in self._rungs:
            known = ", ".join(known.name for known in self._rungs)
            raise VariantError(f"{variant.name} is not loaded: expected one of {known}.")
        self._tick(now_s)
        self._pinned = variant
        return self._change(self._rungs[variant], "pinned", "somebody pinned it", now_s)

    def release(self, now_s: float) -> Change | None:
        """Choose again, beginning with the best variant for what is seen now."""
        self._pinned = None
        self._tick(now_s)
        return self._reconsider("released", "nobody pins a variant any more", now_s)

    def _tick(self, now_s: float) -> bool:
        """Forget what is too old, and everything where time jumped. False if ``now_s`` is no time."""
        if not math.isfinite(now_s):
            return False
        if self._now_s is not None and not 0 <= now_s - self._now_s <= self._tuning.gap_s:
            self._slowdown.forget_all()
            self._patience.forget_time()
            self._heat.forget()
            self._quiet = None
        self._now_s = now_s
        self._slowdown.forget_old(now_s)
        return True

    def _best(self, slowdown: float, margin: float) -> Rung:
        """The best rung expected to meet that share of the budget, else the fastest."""
        return self._highest(margin * self._budget.latency_ms / slowdown)

    def _highest(self, p95_ms: float) -> Rung:
        """The best rung with at most that p95 in the profile, else the fastest."""
        return ([self._ladder[0]] + [rung for rung in self._ladder if rung.p95_ms <= p95_ms])[-1]

    def _step_down(self, now_s: float) -> Change | None:
        """Take a faster variant when the p95 of the last second is over the budget, by two frames or more."""
        slowdown, limit = self._slowdown.now, self._budget.latency_ms / self._rung.p95_ms
        if slowdown <= limit or self._slowdown.above(limit) < 2:
            return None
        target = self._best(slowdown, self._tuning.fall_margin)
        if target.p95_ms >= self._rung.p95_ms:
            self._quiet = None
            return None
        self._patience.fell(self._rung, slowdown, now_s)
        seen = f"p95 of the last second {slowdown * self._rung.p95_ms:.1f} ms, budget {_ms(self._budget)}"
        return self._change(target, "slow", f"{seen}, {slowdown:.2f} times the profile", now_s)

    def _step_up(self, now_s: float) -> Change | None:
        """Take a better variant once it has had room, with margin, for long enough."""
        slowdown = self._slowdown.now
        rungs = (self._best(slowdown, self._tuning.climb_margin), self._patience.way_back(slowdown) or self._rung)
        target = max(rungs, key=_p95)
        if target.p95_ms <= self._rung.p95_ms or self._heat.forbids_climbing(now_s):
            self._quiet = None
            return None
        since_s, least = self._quiet or (now_s, target)
        self._quiet = since_s, min(least, target, key=_p95)
        if now_s - since_s < self._patience.wait_s:
            return None
        best = self._quiet[1]
        self._patience.climbed(best, now_s)
        self._slowdown.forget_all()  # it is on trial: two late frames of its own are enough to go back
        return self._change(best, "recovered", f"it has had room for {now_s - since_s:.1f} s", now_s)

    def _reconsider(self, cause: Cause, reason: str, now_s: float) -> Change | None:
        self._patience.begin_anew()
        best = self._best(self._slowdown.now, 1.0)
        if best.p95_ms > self._rung.p95_ms and self._heat.forbids_climbing(now_s):
            return None
        return self._change(best, cause, reason, now_s)

    def _change(self, rung: Rung, cause: Cause, reason: str, now_s: float) -> Change | None:
        self._quiet = None
        if rung.variant == self.variant:
            return None
        change = Change(at_s=now_s, before=self.variant, after=rung.variant, cause=cause, reason=reason)
        self._rung, self._is_first_run = rung, True
        self.changes[cause] += 1
        self.last_change = change
        return change


def _p95(rung: Rung) -> float:
    return rung.p95_ms


def _ms(budget: Budget) -> str:
    return f"{budget.latency_ms:.1f} ms"
