"""The variants that a run may change to while it goes on: what meets every condition but the latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits, ProfileError
from edge.profiling.profile import LatencyProfile
from edge.selection import pareto_front, rank

__all__ = ["OperatingPoint", "efficient", "operating_points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A variant that a run may change to."""

    variant: Variant
    p95_ms: float
    """Its 95th percentile, frame to answer, in the profile."""
    score: float
    """Its measured top-1 in percent, or its mult-adds: only the order matters."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.p95_ms) and self.p95_ms > 0 and math.isfinite(self.score)):
            raise ProfileError(f"{self.variant.name} has a p95 of {self.p95_ms} ms: expected a number above 0.")


def operating_points(bundle: Bundle, profile: LatencyProfile, budget: Budget) -> tuple[OperatingPoint, ...]:
    """The variants of a bundle that meet every condition of ``budget`` except its latency, fastest first.

    Raises:
        NoVariantFits: There is none.
        ProfileError: A latency is 0.
    """
    candidates = rank(bundle, profile, replace(budget, percentile="p95"))
    points = [
        OperatingPoint(variant=candidate.variant, p95_ms=candidate.latency_ms, score=candidate.score)
        for candidate in candidates
        if not candidate.conditions and candidate.latency_ms is not None
    ]
    if not points:
        reasons = "; ".join(f"{c.variant.name}: {', '.join(c.conditions)}" for c in candidates)
        raise NoVariantFits(f"No variant can be used on {profile.board}, at any latency. {reasons}.")
    return tuple(sorted(points, key=lambda point: point.p95_ms))


def efficient(points: Sequence[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """The Pareto front of operating points, fastest first."""
    return pareto_front(points, lambda point: point.p95_ms, lambda point: point.score)
