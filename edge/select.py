"""Which variant to run: the most accurate one whose measured latency meets the budget, and why not the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.bundle import Bundle
from edge.errors import BudgetError, NoVariantFits
from edge.latency import PERCENTILES, LatencyProfile, Provenance
from edge.manifest import BundledVariant
from edge.variant import Variant

__all__ = ["Budget", "Candidate", "Selection", "select"]

_LONGEST_MS = 600_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a variant may cost, and what it must be worth."""

    latency_ms: float
    """The longest a frame may take."""
    percentile: str = "p95"
    """The figure held against it, one of :data:`edge.latency.PERCENTILES`."""
    min_top1: float | None = None
    """The least accuracy, in percent."""
    max_mb: float | None = None
    """The largest model file, in MB of 10^6 bytes."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_ms) and 0 < self.latency_ms <= _LONGEST_MS):
            raise BudgetError(
                f"A budget of {self.latency_ms:g} ms makes no sense: expected above 0, at most {_LONGEST_MS:.0f} ms."
            )
        if self.percentile not in PERCENTILES:
            raise BudgetError(f"There is no percentile '{self.percentile}': expected one of {', '.join(PERCENTILES)}.")
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 100:
            raise BudgetError(f"A top-1 of {self.min_top1:g} % makes no sense: expected 0 to 100.")
        if self.max_mb is not None and not (math.isfinite(self.max_mb) and self.max_mb > 0):
            raise BudgetError(f"A model of {self.max_mb:g} MB makes no sense: expected above 0.")

    @classmethod
    def of_fps(cls, fps: float, **others: object) -> Budget:
        """The budget that leaves one frame's time at ``fps`` frames a second.

        Raises:
            BudgetError: ``fps`` is not a positive number.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise BudgetError(f"{fps:g} frames a second make no sense: expected a number above 0.")
        return cls(latency_ms=1000 / fps, **others)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One variant held against the budget."""

    variant: Variant
    latency_ms: float | None
    """The percentile asked for; None when this machine has no figure."""
    provenance: Provenance | None
    top1: float | None
    """Measured accuracy in percent; None where the bundle was measured without labels."""
    agreement: float
    """Share of pictures on which the file agrees with its float original, in percent."""
    size_mb: float
    mult_adds: int
    objections: tuple[str, ...]
    """Why it cannot be used; empty when it fits the budget."""

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

    def verdict(self, candidate: Candidate) -> str:
        """Why ``candidate`` was chosen or not, in a few words."""
        if candidate is self.chosen:
            return "chosen"
        return "; ".join(candidate.objections) or f"fits; {_weaker(candidate, self.chosen, self.ranked_by)}"


def select(bundle: Bundle, profile: LatencyProfile, budget: Budget) -> Selection:
    """Choose the best variant that meets the budget.

    Best is the highest measured top-1; where the bundle was measured without labels, the most mult-adds. Of two
    equally good ones the faster wins.

    Raises:
        NoVariantFits: None meets it; the message names the nearest.
    """
    candidates = [_candidate(entry, profile, budget) for entry in bundle.variants]
    is_labelled = all(candidate.top1 is not None for candidate in candidates)
    candidates.sort(key=lambda c: _worth(c, is_labelled), reverse=True)
    chosen = next((c for c in candidates if c.fits), None)
    if chosen is None:
        raise NoVariantFits(_none_fits(candidates, profile, budget))
    return Selection(
        budget=budget,
        chosen=chosen,
        candidates=tuple(candidates),
        ranked_by="measured top-1" if is_labelled else "mult-adds",
    )


def _candidate(entry: BundledVariant, profile: LatencyProfile, budget: Budget) -> Candidate:
    row = profile.find(entry.variant)
    measured = entry.artifact_of(row.model_sha256) if row else None
    artifact = measured or entry.artifacts[0]
    speaks = row is not None and (measured is not None or row.provenance != "measured")
    latency_ms = row.latency.percentile(budget.percentile) if row and speaks else None
    top1 = None if artifact.accuracy.top1 is None else 100 * artifact.accuracy.top1
    size_mb = artifact.size_bytes / 1e6
    objections = []
    if latency_ms is None:
        objections.append("the profile measured another model file" if row else "not in the profile")
    elif latency_ms > budget.latency_ms:
        objections.append(f"{latency_ms - budget.latency_ms:.2f} ms over")
    if budget.min_top1 is not None and (top1 is None or top1 < budget.min_top1):
        found = "not measured" if top1 is None else f"{top1:.1f} %"
        objections.append(f"top-1 is {found}, below {budget.min_top1:g} %")
    if budget.max_mb is not None and size_mb > budget.max_mb:
        objections.append(f"{size_mb:.2f} MB is over {budget.max_mb:g} MB")
    return Candidate(
        variant=entry.variant,
        latency_ms=latency_ms,
        provenance=row.provenance if row else None,
        top1=top1,
        agreement=100 * artifact.accuracy.agreement,
        size_mb=size_mb,
        mult_adds=entry.mult_adds,
        objections=tuple(objections),
    )


def _worth(candidate: Candidate, is_labelled: bool) -> tuple[float, float]:
    worth = candidate.top1 if is_labelled and candidate.top1 is not None else float(candidate.mult_adds)
    return worth, -(candidate.latency_ms if candidate.latency_ms is not None else math.inf)


def _weaker(candidate: Candidate, chosen: Candidate, ranked_by: str) -> str:
    if ranked_by == "mult-adds":
        return "fewer mult-adds"
    if candidate.top1 == chosen.top1:
        return "as accurate and slower"
    return "less accurate"


def _none_fits(candidates: list[Candidate], profile: LatencyProfile, budget: Budget) -> str:
    board = profile.device.get("board") or "this machine"
    where = f"on {board} ({profile.backend}, {profile.threads} thread{'s' if profile.threads > 1 else ''})"
    timed = [c for c in candidates if c.latency_ms is not None]
    if not timed:
        return f"The profile has none of this bundle's variants {where}. Measure them: edge profile."
    fastest = min(timed, key=lambda c: c.latency_ms or 0)
    assert fastest.latency_ms is not None
    if fastest.latency_ms > budget.latency_ms:
        return (
            f"No variant meets {budget.latency_ms:.2f} ms {budget.percentile} {where}. "
            f"Fastest is {fastest.variant.name} at {fastest.latency_ms:.2f} ms. "
            f"Raise the budget to {_above(fastest.latency_ms)} ms, or use more threads."
        )
    in_time = [c for c in timed if (c.latency_ms or 0) <= budget.latency_ms]
    reasons = "; ".join(f"{c.variant.name}: {', '.join(c.objections)}" for c in in_time)
    return f"No variant meets every condition {where}. In time, but: {reasons}. Loosen --min-top1 or --max-mb."


def _above(latency_ms: float) -> str:
    """A budget that would have done, rounded up to two digits that matter."""
    step = 10.0 ** (math.floor(math.log10(latency_ms)) - 1)
    return f"{math.ceil(latency_ms / step + 1e-9) * step:.6g}"
