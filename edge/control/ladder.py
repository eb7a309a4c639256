"""The variants that a run may change among, from the fastest to the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits, ProfileError
from edge.profiling.profile import LatencyProfile
from edge.selection import pareto_front, ranked

__all__ = ["Rung", "front", "rungs_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A variant that may be used."""

    variant: Variant
    p95_ms: float
    """Its 95th percentile, frame to answer, in the profile."""
    worth: float
    """Its measured top-1 in percent, or its mult-adds: only the order matters."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p95_ms) and self.p95_ms > 0 and math.isfinite(self.worth)):
            raise ProfileError(f"{self.variant.name} has a p95 of {self.p95_ms} ms: expected a number above 0")


def rungs_of(bundle: Bundle, profile: LatencyProfile, budget: Budget) -> tuple[Rung, ...]:
    """The variants of a bundle that meet every condition of ``budget`` but its time, fastest first.

    Raises:
        NoVariantFits: There is none.
        ProfileError: A figure is 0.
    """
    candidates, ranked_by = ranked(bundle, profile, replace(budget, percentile="p95"))
    rungs = [
        Rung(variant=candidate.variant, p95_ms=candidate.latency_ms, worth=candidate.worth(ranked_by))
        for candidate in candidates
        if not candidate.conditions and candidate.latency_ms is not None
    ]
    if not rungs:
        reasons = "; ".join(f"{c.variant.name}: {', '.join(c.conditions)}" for c in candidates)
        raise NoVariantFits(f"No variant can be used on {profile.board}, however long it takes. {reasons}.")
    return tuple(sorted(rungs, key=lambda rung: rung.p95_ms))


def front(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """The Pareto front: those than which no other is both as fast and as good, fastest first."""
    return pareto_front(rungs, lambda rung: rung.p95_ms, lambda rung: rung.worth)
