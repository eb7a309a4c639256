"""The variant to run now, and why it changed: the state of :func:`edge.control.decision.decide` and its counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.board.health import Health
from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.control.decision import Cause, Change, FrameTime, Observation, Pin, Release, State, decide
from edge.errors import NoVariantFits, VariantError
from edge.operating_points import OperatingPoint, efficient

__all__ = ["Controller"]


class Controller:
    """Keeps the state between decisions, and counts the changes.

    >>> controller = Controller(operating_points(bundle, profile, budget), budget)
    >>> controller.on_frame(controller.variant, prediction.total_ms, now_s)  # after each frame: a Change, or None
    """

    def __init__(self, points: Sequence[OperatingPoint], budget: Budget) -> None:
        """Begin with the best variant that meets the budget by its profile, or the fastest if none does.

        Args:
            points: The variants to choose among, in any order.
            budget: The budget to keep; its percentile is taken to be p95.

        Raises:
            NoVariantFits: There are no points.
        """
        if not points:
            raise NoVariantFits("Cannot choose a variant from nothing: expected at least one operating point.")
        front = efficient(points)
        state = State(points=front, loaded={point.variant: point for point in points}, budget=budget, running=front[0])
        self.state = state._replace(running=state.best_now())
        self.changes: Counter[Cause] = Counter()
        """Number of changes of the variant, by cause."""
        self.last_change: Change | None = None

    @property
    def variant(self) -> Variant:
        """The variant to run now."""
        return self.state.running.variant

    @property
    def is_holding(self) -> bool:
        """Whether the running variant is expected to meet the budget; False where even the fastest does not."""
        return self.state.expected_p95_ms <= self.state.budget.latency_ms

    def on_frame(self, variant: Variant, latency_ms: float, now_s: float) -> Change | None:
        """Take in one frame that ``variant`` answered in ``latency_ms``."""
        return self._observe(FrameTime(variant, latency_ms), now_s)

    def on_health(self, health: Health, now_s: float) -> Change | None:
        """Take in a look at the board: temperature, throttle bits and load."""
        return self._observe(health, now_s)

    def set_budget(self, budget: Budget, now_s: float) -> Change | None:
        """Keep another budget from now on."""
        return self._observe(budget, now_s)

    def pin(self, variant: Variant, now_s: float) -> Change | None:
        """Run ``variant`` whatever it takes, until :meth:`release`.

        Raises:
            VariantError: It is not loaded.
        """
        if variant not in self.state.loaded:
            known = ", ".join(known.name for known in self.state.loaded)
            raise VariantError(f"{variant.name} is not loaded: expected one of {known}.")
        return self._observe(Pin(variant), now_s)

    def release(self, now_s: float) -> Change | None:
        """Choose again."""
        return self._observe(Release(), now_s)

    def _observe(self, observation: Observation, now_s: float) -> Change | None:
        self.state, change = decide(self.state, observation, now_s)
        if change is not None:
            self.changes[change.cause] += 1
            self.last_change = change
        return change
