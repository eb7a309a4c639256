"""What people may ask of the running classifier, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import Variant
from edge.control.adaptive import AdaptiveClassifier
from edge.errors import VariantError
from edge.inference.classifier import Classifier
from edge.profiling.profile import LatencyProfile

__all__ = ["AnyClassifier", "Control", "Option", "options_of"]

AnyClassifier = AdaptiveClassifier | Classifier

_PERCENTILE: Final = "p95"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A variant of the bundle, as people choose among them."""

    name: str
    top1: float | None
    """Measured, in percent; None where the bundle was measured without labels."""
    p95_ms: float | None
    """Frame to answer in this machine's profile, or the nearest figure it has; None without one."""
    size_mb: float


class Control:
    """One face for a classifier that adapts and for one that somebody fixed at the start. For any thread."""

    def __init__(self, classifier: AnyClassifier, budget: Budget, options: Sequence[Option]) -> None:
        self._classifier, self._fixed_budget, self._options = classifier, budget, tuple(options)

    @property
    def budget_ms(self) -> float:
        """The budget of now."""
        if isinstance(self._classifier, Classifier):
            return self._fixed_budget.latency_ms
        return self._classifier.budget.latency_ms

    @property
    def switches(self) -> int:
        """How often the variant was changed."""
        return 0 if isinstance(self._classifier, Classifier) else sum(self._classifier.changes.values())

    def set_budget(self, latency_ms: float) -> None:
        """Hold another budget from the next frame on.

        Raises:
            BudgetError: It makes no sense.
        """
        budget = replace(self._fixed_budget, latency_ms=latency_ms)
        if isinstance(self._classifier, Classifier):
            self._fixed_budget = budget
        else:
            self._classifier.set_budget(budget)

    def choose(self, name: str) -> None:
        """Use the variant called ``name`` whatever it takes; ``auto`` chooses by the budget again.

        Raises:
            VariantError: There is no such variant, it is not loaded, or one was fixed at the start.
        """
        if isinstance(self._classifier, Classifier):
            fixed = self._classifier.variant.name
            raise VariantError(f"The variant is fixed to {fixed}. Start without --variant to change it while it runs.")
        if name == "auto":
            self._classifier.release()
            return
        self._classifier.pin(Variant.parse(name))

    def to_dict(self) -> dict[str, Any]:
        """The state of now as JSON values."""
        return {"budget_ms": round(self.budget_ms, 2), "active": self._classifier.variant.name, **self._choice()}

    def options(self) -> list[dict[str, Any]]:
        """Every variant of the bundle as JSON values, and whether it can be chosen now."""
        active = self._classifier.variant
        loaded = (active,) if isinstance(self._classifier, Classifier) else self._classifier.variants
        names = {variant.name for variant in loaded}
        return [{**asdict(option), "is_loaded": option.name in names} for option in self._options]

    def _choice(self) -> dict[str, Any]:
        if isinstance(self._classifier, Classifier):
            return {"mode": "fixed", "reason": "fixed by --variant", "switches": 0, "slowdown": None, "holds": None}
        change, pinned = self._classifier.last_change, self._classifier.pinned
        return {
            "mode": "auto" if pinned is None else "pinned",
            "reason": str(change) if change else "the best within the budget by this machine's profile",
            "switches": self.switches,
            "slowdown": round(self._classifier.slowdown, 2),
            "holds": self._classifier.is_holding,
        }


def options_of(bundle: Bundle, profile: LatencyProfile | None) -> tuple[Option, ...]:
    """The variants of a bundle with what is known of them, dearest first."""
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
