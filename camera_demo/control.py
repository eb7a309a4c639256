"""Control of the running classifier by people: its variant and budget, and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Final

from camera_demo.budget_miss import BudgetMiss, budget_miss, points_of
from camera_demo.loading import ModelOptions
from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.manifest import BundledVariant
from edge.errors import VariantError
from edge.inference.live_classifier import LiveClassifier, Mode
from edge.operating_points import OperatingPoint
from edge.profiling.equal_board import EqualBoard
from edge.profiling.profile import LatencyProfile

__all__ = ["Control", "Option", "options_of"]

_PERCENTILE: Final = "p95"
_REASONS: Final[Mapping[Mode, str]] = {
    "auto": "the best within the budget by this machine's profile",
    "pinned": "pinned before it was ever changed",
    "fixed": "fixed at the start",
}
"""Why the variant runs, before there is a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A variant of the bundle, to choose from."""

    name: str
    top1: float | None
    """Measured, in percent; None where the bundle was measured without labels."""
    p95_ms: float | None
    """Frame to answer in this machine's profile, or the nearest figure it has; None without one."""
    size_mb: float


class Control:
    """The running classifier as the page and the metrics use it: names and JSON values. For any thread."""

    def __init__(
        self,
        classifier: LiveClassifier,
        options: Sequence[Option],
        *,
        equal: EqualBoard | None = None,
        find_points: Callable[[], Sequence[OperatingPoint]] = lambda: (),
    ) -> None:
        self._classifier, self._options, self._find_points = classifier, tuple(options), find_points
        self.equal = equal
        """The board whose profile this one goes by, where it is not its own."""

    @classmethod
    def of(
        cls, classifier: LiveClassifier, bundle: Bundle, profile: LatencyProfile | None, model: ModelOptions
    ) -> Control:
        """Control of a bundle's classifier, with what the profile knows, if there is one."""
        equal = None if profile is None else profile.equal
        find_points = cache(lambda: points_of(bundle, model, profile, classifier.budget))
        return cls(classifier, options_of(bundle, profile), equal=equal, find_points=find_points)

    @property
    def is_fixed(self) -> bool:
        """Whether the variant was fixed at the start."""
        return self._classifier.mode == "fixed"

    @property
    def miss(self) -> BudgetMiss | None:
        """How the running variant misses the budget; None if it keeps it, or if that is not known."""
        return budget_miss(self._classifier, self._find_points)

    @property
    def budget_ms(self) -> float:
        """What a frame may take now; infinite without a budget."""
        budget = self._classifier.budget
        return math.inf if budget is None else budget.latency_ms

    @property
    def slowdown(self) -> float | None:
        """Latency of the last second as a multiple of the profile's; None without a profile."""
        return self._classifier.slowdown

    @property
    def switches(self) -> int:
        """Number of changes of the variant."""
        return sum(self._classifier.changes.values())

    def set_budget(self, latency_ms: float) -> None:
        """Replace the budget from the next frame on.

        Raises:
            BudgetError: It is out of range.
        """
        budget = self._classifier.budget
        self._classifier.set_budget(
            Budget(latency_ms=latency_ms) if budget is None else replace(budget, latency_ms=latency_ms)
        )

    def choose(self, name: str) -> None:
        """Use the variant called ``name`` whatever its latency; ``auto`` chooses by the budget again.

        Raises:
            VariantError: The variant does not exist, is not loaded, or was fixed at the start.
        """
        if self.is_fixed:
            fixed = self._classifier.variant.name
            raise VariantError(f"The variant is fixed to {fixed}. Start without a variant to change it while it runs.")
        if name == "auto":
            self._classifier.release()
        else:
            self._classifier.pin(name)

    def to_dict(self) -> dict[str, Any]:
        """The state of now as JSON values."""
        classifier = self._classifier
        change, slowdown, miss = classifier.last_change, self.slowdown, self.miss
        return {
            "budget_ms": round(self.budget_ms, 2),
            "active": classifier.variant.name,
            "mode": classifier.mode,
            "reason": str(change) if change else _REASONS[classifier.mode],
            "switches": self.switches,
            "slowdown": None if slowdown is None else round(slowdown, 2),
            "holds": classifier.is_holding,
            "miss": None if miss is None else asdict(miss),
        }

    def options(self) -> list[dict[str, Any]]:
        """Every variant of the bundle as JSON values, and whether it can be chosen now."""
        names = {variant.name for variant in self._classifier.variants}
        return [{**asdict(option), "is_loaded": option.name in names} for option in self._options]


def options_of(bundle: Bundle, profile: LatencyProfile | None) -> tuple[Option, ...]:
    """The variants of a bundle with what is known of them, most expensive first."""
    return tuple(_option(entry, profile) for entry in bundle.variants)


def _option(entry: BundledVariant, profile: LatencyProfile | None) -> Option:
    row = None if profile is None else profile.find(entry.variant)
    measured = entry.artifact_of(row.model_sha256) if row and row.model_sha256 else None
    artifact = measured or entry.artifacts[0]
    p95_ms = row.latency.nearest(_PERCENTILE)[1] if row else None
    return Option(
        name=entry.variant.name,
        top1=None if artifact.accuracy.top1 is None else round(100 * artifact.accuracy.top1, 2),
        p95_ms=None if p95_ms is None else round(p95_ms, 2),
        size_mb=round(artifact.size_bytes / 1e6, 2),
    )
