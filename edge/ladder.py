"""The variants that a run may change among, from the fastest to the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge.bundle import Bundle
from edge.errors import ProfileError
from edge.latency import LatencyProfile
from edge.select import Budget, select
from edge.variant import Variant

__all__ = ["Rung", "front", "rungs_of"]

_ANY_MS: Final = 600_000.0


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
        NoVariantFits: There is none, or the profile has no figure of any.
        ProfileError: A figure is 0.
    """
    selection = select(bundle, profile, replace(budget, latency_ms=_ANY_MS, percentile="p95"))
    rungs = []
    for candidate in selection.candidates:
        if candidate.fits and candidate.latency_ms is not None:
            worth = float(candidate.mult_adds) if selection.ranked_by == "mult-adds" else candidate.top1 or 0.0
            rungs.append(Rung(variant=candidate.variant, p95_ms=candidate.latency_ms, worth=worth))
    return tuple(sorted(rungs, key=lambda rung: rung.p95_ms))


def front(rungs: Sequence[Rung]) -> tuple[Rung, ...]:
    """The Pareto front: those than which no other is both as fast and as good, fastest first."""
    best: list[Rung] = []
    for rung in sorted(rungs, key=lambda rung: (rung.p95_ms, -rung.worth)):
        if not best or rung.worth > best[-1].worth:
            best.append(rung)
    return tuple(best)
