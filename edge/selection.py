"""Which variant to run: the most accurate one whose measured latency meets the budget, and why not the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.manifest import BundledVariant
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits
from edge.profiling.profile import LatencyProfile, ProfileRow, Provenance

__all__ = ["Candidate", "Selection", "pareto_front", "ranked", "select"]

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One variant held against the budget."""

    variant: Variant
    latency_ms: float | None
    """The percentile asked for; None when this machine has no figure."""
    percentile: str | None
    """Which figure that is: another than asked for where a published profile does not have it."""
    provenance: Provenance | None
    top1: float | None
    """Measured accuracy in percent; None where the bundle was measured without labels."""
    agreement: float
    """Share of pictures on which the file agrees with its float original, in percent."""
    size_mb: float
    rss_mb: float | None
    """Peak memory of the process that ran it."""
    cpu_percent: float | None
    """Share of all CPUs that it keeps busy at one frame every :attr:`Budget.latency_ms`."""
    mult_adds: int
    is_efficient: bool
    """Whether it is on the Pareto front: no other is as fast and as good."""
    over_ms: float
    """By how much it is over the budget; 0 if it is in time or its time is not known."""
    conditions: tuple[str, ...]
    """What but its time speaks against it."""

    @property
    def objections(self) -> tuple[str, ...]:
        """Why it cannot be used; empty when it fits the budget."""
        return (f"{self.over_ms:.2f} ms over", *self.conditions) if self.over_ms > 0 else self.conditions

    def worth(self, ranked_by: str) -> float:
        """How good it is: its measured top-1 in percent, or its mult-adds."""
        return float(self.mult_adds) if ranked_by == "mult-adds" else self.top1 or 0.0

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.objections


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice, and every candidate with what spoke against it."""

    budget: Budget
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    """All variants of the bundle, best first."""
    ranked_by: str
    """What "best" rests on: ``measured top-1``, or ``mult-adds`` where the bundle was measured without labels."""

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
    bundle: Bundle | str | Path,
    profile: LatencyProfile,
    budget: Budget | None = None,
    *,
    fps: float | None = None,
    budget_ms: float | None = None,
    percentile: str = "p95",
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
        budget: What a variant may cost; or give ``fps`` or ``budget_ms``, and conditions, as fields of a budget.
        fps: Frames a second to keep up with.
        budget_ms: The longest a frame may take.
        percentile: The latency to compare with the budget.
        min_top1: The least accuracy, in percent.
        max_mb: The largest model file.
        max_rss_mb: The most memory the process may take.
        max_cpu_percent: The largest share of all CPUs.

    Raises:
        NoVariantFits: None meets it; the message names the nearest.
        BudgetError: There is no budget, or several, or a value is out of range.
        BundleError: The bundle cannot be opened.
    """
    conditions = {"min_top1": min_top1, "max_mb": max_mb, "max_rss_mb": max_rss_mb, "max_cpu_percent": max_cpu_percent}
    budget = Budget.of(budget, fps=fps, budget_ms=budget_ms, percentile=percentile, **conditions)
    bundle = open_bundle(bundle)
    candidates, ranked_by = ranked(bundle, profile, budget)
    chosen = next((c for c in candidates if c.fits), None)
    if chosen is None:
        raise NoVariantFits(_none_fits(candidates, profile, budget))
    return Selection(budget=budget, chosen=chosen, candidates=candidates, ranked_by=ranked_by)


def ranked(bundle: Bundle, profile: LatencyProfile, budget: Budget) -> tuple[tuple[Candidate, ...], str]:
    """Every variant of the bundle held against the budget, best first, and what "best" rests on."""
    found = [_candidate(entry, profile, budget) for entry in bundle.variants]
    is_labelled = all(candidate.top1 is not None for candidate in found)
    ranked_by = "measured top-1" if is_labelled else "mult-adds"
    found.sort(key=lambda c: (-c.worth(ranked_by), _or_endless(c.latency_ms)))
    front = pareto_front(found, lambda c: _or_endless(c.latency_ms), lambda c: c.worth(ranked_by))
    return tuple(replace(candidate, is_efficient=candidate in front) for candidate in found), ranked_by


def pareto_front(
    items: Sequence[_Item], time_ms: Callable[[_Item], float], worth: Callable[[_Item], float]
) -> tuple[_Item, ...]:
    """The items than which no other is both as fast and as good, fastest first; none whose time is endless."""
    best: list[_Item] = []
    for item in sorted(items, key=lambda item: (time_ms(item), -worth(item))):
        if math.isfinite(time_ms(item)) and (not best or worth(item) > worth(best[-1])):
            best.append(item)
    return tuple(best)


def _candidate(entry: BundledVariant, profile: LatencyProfile, budget: Budget) -> Candidate:
    row = profile.find(entry.variant)
    measured = entry.artifact_of(row.model_sha256) if row and row.model_sha256 else None
    artifact = measured or entry.artifacts[0]
    speaks = row is not None and (measured is not None or row.provenance != "measured")
    name, latency_ms = row.latency.nearest(budget.percentile) if row and speaks else (None, None)
    candidate = Candidate(
        variant=entry.variant,
        latency_ms=latency_ms,
        percentile=name,
        provenance=row.provenance if row else None,
        top1=None if artifact.accuracy.top1 is None else 100 * artifact.accuracy.top1,
        agreement=100 * artifact.accuracy.agreement,
        size_mb=artifact.size_bytes / 1e6,
        rss_mb=row.peak_rss_mb if row else None,
        cpu_percent=_cpu_percent(row, profile, budget),
        mult_adds=entry.mult_adds,
        is_efficient=False,
        over_ms=max(0.0, (latency_ms or 0.0) - budget.latency_ms),
        conditions=(),
    )
    reasons = ["the profile measured another model file" if row else "not in the profile"] if not speaks else []
    return replace(candidate, conditions=(*reasons, *_conditions(candidate, budget)))


def _cpu_percent(row: ProfileRow | None, profile: LatencyProfile, budget: Budget) -> float | None:
    count = profile.device.get("cpu_count")
    if row is None or row.cpu_ms is None or not count:
        return None
    return float(100 * row.cpu_ms / budget.latency_ms / count)


def _conditions(candidate: Candidate, budget: Budget) -> Iterator[str]:
    """What but its time speaks against a candidate."""
    if budget.min_top1 is not None and (candidate.top1 is None or candidate.top1 < budget.min_top1):
        found = "not measured" if candidate.top1 is None else f"{candidate.top1:.1f} %"
        yield f"top-1 is {found}, below {budget.min_top1:g} %"
    if budget.max_mb is not None and candidate.size_mb > budget.max_mb:
        yield f"{candidate.size_mb:.2f} MB is over {budget.max_mb:g} MB"
    yield from _over("memory", "MB", candidate.rss_mb, budget.max_rss_mb)
    yield from _over("CPU", "%", candidate.cpu_percent, budget.max_cpu_percent)


def _over(what: str, unit: str, found: float | None, most: float | None) -> Iterator[str]:
    if most is not None and found is None:
        yield f"{what} is not measured"
    elif most is not None and found is not None and found > most:
        yield f"{what} {found:.0f} {unit} is over {most:g} {unit}"


def _or_endless(latency_ms: float | None) -> float:
    return math.inf if latency_ms is None else latency_ms


def _weaker(candidate: Candidate, chosen: Candidate, ranked_by: str) -> str:
    if ranked_by == "mult-adds":
        return "fewer mult-adds"
    if candidate.top1 == chosen.top1:
        return "as accurate and slower"
    return "less accurate"


def _none_fits(candidates: Sequence[Candidate], profile: LatencyProfile, budget: Budget) -> str:
    threads = "" if profile.threads is None else f", {profile.threads} thread{'s' if profile.threads > 1 else ''}"
    where = f"on {profile.board} ({profile.backend}{threads})"
    timed = [c for c in candidates if c.latency_ms is not None]
    if not timed:
        return f"The profile has none of this bundle's variants {where}. Measure them: edge profile."
    fastest = min(timed, key=lambda c: _or_endless(c.latency_ms))
    assert fastest.latency_ms is not None
    if fastest.latency_ms > budget.latency_ms:
        return (
            f"No variant meets {budget.latency_ms:.2f} ms {budget.percentile} {where}. "
            f"Fastest is {fastest.variant.name} at {fastest.latency_ms:.2f} ms. "
            f"Raise the budget to {_above(fastest.latency_ms)} ms, or use more threads."
        )
    in_time = [c for c in timed if _or_endless(c.latency_ms) <= budget.latency_ms]
    reasons = "; ".join(f"{c.variant.name}: {', '.join(c.objections)}" for c in in_time)
    return f"No variant meets every condition {where}. In time, but: {reasons}. Loosen {_options(budget)}."


def _options(budget: Budget) -> str:
    """The options that set the conditions asked for."""
    names = {"min_top1": "--min-top1", "max_mb": "--max-mb", "max_rss_mb": "--max-rss-mb"}
    names["max_cpu_percent"] = "--max-cpu"
    return " or ".join(option for name, option in names.items() if getattr(budget, name) is not None)


def _above(latency_ms: float) -> str:
    """A budget that would have done, rounded up to two digits that matter."""
    step = 10.0 ** (math.floor(math.log10(latency_ms)) - 1)
    return f"{math.ceil(latency_ms / step + 1e-9) * step:.6g}"
