"""Which variant to run: the best one whose latency meets the budget, and why not the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from edge.board.affinity import most_threads
from edge.board.device import describe
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits
from edge.paths import AnyPath
from edge.profiling.profile import LatencyProfile, ProfileRow, Provenance
from edge.text import milliseconds

__all__ = ["Candidate", "RankedBy", "Selection", "pareto_front", "rank", "select"]

RankedBy = Literal["top1", "mult_adds"]
"""What makes a variant better: its measured top-1, or its mult-adds where the bundle was measured without labels."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One variant compared with the budget."""

    variant: Variant
    latency_ms: float | None
    """The percentile asked for; None when it is not known for this machine."""
    percentile: str | None
    """Its name: not the one asked for where a published profile lacks that."""
    provenance: Provenance | None
    top1: float | None
    """Measured accuracy in percent; None where the bundle was measured without labels."""
    agreement: float | None
    """Share of pictures on which the file agrees with its float original, in percent; None if it was not measured."""
    size_mb: float
    rss_mb: float | None
    """Peak memory of the process that ran it."""
    cpu_percent: float | None
    """Share of all CPUs that it keeps busy at one frame every :attr:`Budget.latency_ms`."""
    mult_adds: int
    score: float
    """What it is ranked by: its measured top-1 in percent, or its mult-adds."""
    over_ms: float
    """By how much it is over the budget; 0 if it is in time or its time is not known."""
    conditions: tuple[str, ...]
    """The conditions other than latency that it does not meet."""

    @property
    def objections(self) -> tuple[str, ...]:
        """Why it cannot be used; empty when it fits the budget."""
        return (f"{self.over_ms:.2f} ms over", *self.conditions) if self.over_ms > 0 else self.conditions

    @property
    def fits(self) -> bool:
        """Whether it meets the whole budget."""
        return not self.objections


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice, and why every other candidate was not chosen."""

    budget: Budget
    chosen: Candidate
    candidates: tuple[Candidate, ...] = field(repr=False)
    """All variants of the bundle, best first."""
    ranked_by: RankedBy

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The Pareto front, fastest first: for each of these, no other is as fast and as good."""
        return pareto_front(self.candidates, lambda c: c.latency_ms, lambda c: c.score)

    @property
    def variant(self) -> Variant:
        """The chosen variant."""
        return self.chosen.variant

    @property
    def rejected(self) -> Mapping[Variant, str]:
        """Why each other variant was not chosen."""
        return {c.variant: self.verdict(c) for c in self.candidates if c is not self.chosen}

    def verdict(self, candidate: Candidate) -> str:
        """Why ``candidate`` was chosen or not, in a few words."""
        if candidate is self.chosen:
            return "chosen"
        return "; ".join(candidate.objections) or f"fits; {_weaker(candidate, self.chosen, self.ranked_by)}"


def select(
    bundle: Bundle | AnyPath,
    profile: LatencyProfile,
    budget: Budget | None = None,
    *,
    fps: float | None = None,
    budget_ms: float | None = None,
    percentile: str | None = None,
    min_top1: float | None = None,
    max_mb: float | None = None,
    max_rss_mb: float | None = None,
    max_cpu_percent: float | None = None,
) -> Selection:
    """Choose the best variant that meets the budget.

    Best is the highest measured top-1; where the bundle was measured without labels, the most mult-adds. Of two
    equally good ones the faster wins.

    Args:
        bundle: An opened bundle, or what :func:`edge.bundles.bundle.open_bundle` opens.
        profile: What its variants take.
        budget: What a variant may cost, conditions included; or give ``fps`` or ``budget_ms``, and conditions.
        fps: Frames a second to keep up with.
        budget_ms: The longest a frame may take.
        percentile: The latency to compare with the budget; None for ``p95``.
        min_top1: The least accuracy, in percent.
        max_mb: The largest model file.
        max_rss_mb: The most memory the process may take.
        max_cpu_percent: The largest share of all CPUs.

    Raises:
        NoVariantFits: None meets it; the message names the nearest.
        BudgetError: No budget is given, or several, or a value is out of range.
        BundleError: The bundle cannot be opened.
    """
    conditions = {"min_top1": min_top1, "max_mb": max_mb, "max_rss_mb": max_rss_mb, "max_cpu_percent": max_cpu_percent}
    budget = Budget.of(budget, fps=fps, budget_ms=budget_ms, percentile=percentile, **conditions)
    bundle = open_bundle(bundle)
    candidates = rank(bundle, profile, budget)
    chosen = next((c for c in candidates if c.fits), None)
    if chosen is None:
        raise NoVariantFits(_none_fits(candidates, profile, budget))
    return Selection(budget=budget, chosen=chosen, candidates=candidates, ranked_by=_ranked_by(bundle))


def rank(bundle: Bundle, profile: LatencyProfile, budget: Budget) -> tuple[Candidate, ...]:
    """Every variant of the bundle compared with the budget, best first."""
    ranked_by = _ranked_by(bundle)
    found = [_candidate(entry, profile, budget, ranked_by) for entry in bundle.variants]
    return tuple(sorted(found, key=lambda c: (-c.score, math.inf if c.latency_ms is None else c.latency_ms)))


def pareto_front(
    items: Sequence[_Item], latency_ms: Callable[[_Item], float | None], score: Callable[[_Item], float]
) -> tuple[_Item, ...]:
    """The Pareto front, fastest first; items without a latency are skipped."""
    timed = [(known, -score(item), n) for n, item in enumerate(items) if (known := latency_ms(item)) is not None]
    best: list[_Item] = []
    for known_ms, _, number in sorted(timed):
        if math.isfinite(known_ms) and (not best or score(items[number]) > score(best[-1])):
            best.append(items[number])
    return tuple(best)


def _ranked_by(bundle: Bundle) -> RankedBy:
    files = [artifact for entry in bundle.variants for artifact in entry.artifacts]
    return "top1" if all(artifact.accuracy.top1 is not None for artifact in files) else "mult_adds"


def _candidate(entry: BundledVariant, profile: LatencyProfile, budget: Budget, ranked_by: RankedBy) -> Candidate:
    row = profile.find(entry.variant)
    measured = entry.artifact_of(row.model_sha256) if row and row.model_sha256 else None
    artifact = measured or entry.artifacts[0]
    is_known = row is not None and (measured is not None or row.provenance != "measured")
    percentile, latency_ms = row.latency.nearest(budget.percentile) if row and is_known else (None, None)
    top1 = None if artifact.accuracy.top1 is None else 100 * artifact.accuracy.top1
    size_mb, rss_mb = artifact.size_bytes / 1e6, row.peak_rss_mb if row else None
    cpu_percent = _cpu_percent(row, profile, budget)
    unknown = () if is_known else ("the profile measured another model file" if row else "not in the profile",)
    return Candidate(
        variant=entry.variant,
        latency_ms=latency_ms,
        percentile=percentile,
        provenance=row.provenance if row else None,
        top1=top1,
        agreement=None if artifact.accuracy.agreement is None else 100 * artifact.accuracy.agreement,
        size_mb=size_mb,
        rss_mb=rss_mb,
        cpu_percent=cpu_percent,
        mult_adds=entry.mult_adds,
        score=float(entry.mult_adds) if ranked_by == "mult_adds" else top1 or 0.0,
        over_ms=max(0.0, (latency_ms or 0.0) - budget.latency_ms),
        conditions=(*unknown, *_unmet(budget, top1, size_mb, rss_mb, cpu_percent)),
    )


def _cpu_percent(row: ProfileRow | None, profile: LatencyProfile, budget: Budget) -> float | None:
    count = profile.device.cpu_count
    if row is None or row.cpu_ms is None or not count:
        return None
    return float(100 * row.cpu_ms / budget.latency_ms / count)


def _unmet(
    budget: Budget, top1: float | None, size_mb: float, rss_mb: float | None, cpu_percent: float | None
) -> Iterator[str]:
    """The conditions of the budget, except its latency, that are not met."""
    if budget.min_top1 is not None and (top1 is None or top1 < budget.min_top1):
        yield f"top-1 is {'not measured' if top1 is None else f'{top1:.1f} %'}, below {budget.min_top1:g} %"
    if budget.max_mb is not None and size_mb > budget.max_mb:
        yield f"{size_mb:.2f} MB is over {budget.max_mb:g} MB"
    yield from _over("memory", "MB", rss_mb, budget.max_rss_mb)
    yield from _over("CPU", "%", cpu_percent, budget.max_cpu_percent)


def _over(what: str, unit: str, found: float | None, most: float | None) -> Iterator[str]:
    if most is not None and found is None:
        yield f"{what} is not measured"
    elif most is not None and found is not None and found > most:
        yield f"{what} {found:.0f} {unit} is over {most:g} {unit}"


def _weaker(candidate: Candidate, chosen: Candidate, ranked_by: RankedBy) -> str:
    if ranked_by == "mult_adds":
        return "fewer mult-adds"
    return "as accurate and slower" if candidate.top1 == chosen.top1 else "less accurate"


def _none_fits(candidates: Sequence[Candidate], profile: LatencyProfile, budget: Budget) -> str:
    threads = "" if profile.threads is None else f", {profile.threads} thread{'s' if profile.threads > 1 else ''}"
    where = f"on {profile.board} ({profile.backend}{threads})"
    timed = [(c.latency_ms, c) for c in candidates if c.latency_ms is not None]
    if not timed:
        return f"The profile has none of this bundle's variants {where}: profile the bundle first."
    fastest_ms, fastest = min(timed, key=lambda pair: pair[0])
    if fastest_ms > budget.latency_ms:
        most = most_threads() if profile.device.board == describe().board else profile.device.cpu_count or 0
        can_use_more = profile.threads is not None and profile.threads < most
        return (
            f"No variant meets {milliseconds(budget.latency_ms)} ms {budget.percentile} {where}. "
            f"Fastest is {fastest.variant.name} at {fastest_ms:.2f} ms. "
            f"Raise the budget to {_above(fastest_ms)} ms{', or use more threads' if can_use_more else ''}."
        )
    reasons = "; ".join(f"{c.variant.name}: {', '.join(c.objections)}" for ms, c in timed if ms <= budget.latency_ms)
    limits = ("min_top1", "max_mb", "max_rss_mb", "max_cpu_percent")
    loosen = " or ".join(name for name in limits if getattr(budget, name) is not None)
    return f"No variant meets every condition {where}. In time, but: {reasons}. Loosen {loosen}."


def _above(latency_ms: float) -> str:
    """A budget that would have done, rounded up to two digits that matter."""
    step = 10.0 ** (math.floor(math.log10(latency_ms)) - 1)
    return f"{math.ceil(latency_ms / step + 1e-9) * step:.6g}"
