"""When a variant misses the budget: by how much, and which one would keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from camera_demo.loading import ModelOptions
from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.errors import NoVariantFits, ProfileError
from edge.inference.live_classifier import LiveClassifier
from edge.operating_points import OperatingPoint, efficient, operating_points
from edge.profiling.profile import LatencyProfile
from edge.profiling.profile_cache import stored_profile

__all__ = ["BudgetMiss", "budget_miss", "points_of"]

_UNKNOWN: Final = "Start without --variant once: that measures which one would keep it."


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetMiss:
    """A budget that is not kept."""

    p95_ms: float
    """The 95th percentile of the frames of the running variant."""
    over_ms: float
    """By how much that is more than the budget."""
    fits: str | None
    """The best variant that would keep it; None if none would, or if this machine was not measured."""
    text: str
    """All of it as sentences for people."""


def budget_miss(classifier: LiveClassifier, find_points: Callable[[], Sequence[OperatingPoint]]) -> BudgetMiss | None:
    """How the running variant misses the budget; None if it keeps it, or if that is not known.

    Args:
        classifier: What runs.
        find_points: Gives what the variants take by this machine's profile, nothing if it was not measured. Called
            only where the budget is missed.
    """
    budget, variant, p95_ms = classifier.budget, classifier.variant, classifier.p95_ms
    if budget is None or p95_ms is None or p95_ms <= budget.latency_ms:
        return None
    points = find_points()
    front, profiled = efficient(points), next((point.p95_ms for point in points if point.variant == variant), None)
    slowdown = p95_ms / profiled if profiled else classifier.slowdown or 1.0
    best = next((point for point in reversed(front) if slowdown * point.p95_ms <= budget.latency_ms), None)
    over_ms = p95_ms - budget.latency_ms
    who = {"fixed": variant.name, "pinned": f"{variant.name}, which you pinned,", "auto": variant.name}[classifier.mode]
    amount = f"misses the budget of {budget.latency_ms:.4g} ms by {over_ms:.3g} ms (p95 {p95_ms:.4g} ms)"
    if best is not None:
        way_out = f"{best.variant.name} would keep it, at {slowdown * best.p95_ms:.4g} ms."
    elif front:
        fastest = front[0]
        way_out = f"No variant of this bundle would keep it: {fastest.variant.name} is the fastest, at " + (
            f"{slowdown * fastest.p95_ms:.4g} ms."
        )
    else:
        way_out = _UNKNOWN
    return BudgetMiss(
        p95_ms=round(p95_ms, 2),
        over_ms=round(over_ms, 2),
        fits=None if best is None else best.variant.name,
        text=f"{who} {amount}. {way_out}",
    )


def points_of(
    bundle: Bundle, options: ModelOptions, profile: LatencyProfile | None, budget: Budget | None
) -> tuple[OperatingPoint, ...]:
    """What a bundle's variants take by the profile that is used, else by one that was stored earlier."""
    if budget is None:
        return ()
    profile = profile or stored_profile(bundle, backend=options.backend, threads=options.threads)
    try:
        return () if profile is None else operating_points(bundle, profile, budget)
    except (NoVariantFits, ProfileError):
        return ()
