"""Hold two profiles against each other, where they can be."""

from __future__ import annotations

from dataclasses import dataclass

from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.profiling.profile import LatencyProfile, ProfileRow

__all__ = ["Comparison", "Pair", "compare", "differences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One variant in both profiles."""

    variant: Variant
    first: ProfileRow
    second: ProfileRow
    figure: str
    """What is compared: ``p50``, or what both have where one lacks a median."""
    first_ms: float
    second_ms: float

    @property
    def ratio(self) -> float:
        """How many times the first profile's time the second one takes."""
        return self.second_ms / self.first_ms

    @property
    def is_clear(self) -> bool | None:
        """Whether the confidence intervals of the medians lie apart; None where they are not known."""
        one, other = self.first.latency, self.second.latency
        ends = (one.median_low_ms, one.median_high_ms, other.median_low_ms, other.median_high_ms)
        if self.figure != "p50" or None in ends:
            return None
        one_low, one_high, other_low, other_high = (end or 0.0 for end in ends)
        return one_high < other_low or other_high < one_low


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All variants that two profiles share."""

    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]
    """What makes the profiles unlike; only there when the comparison was forced."""


def compare(first: LatencyProfile, second: LatencyProfile, *, force: bool = False) -> Comparison:
    """Hold two profiles against each other, variant by variant.

    Board, backend, clocks and date may differ: they are what one compares.

    Args:
        first: The reference.
        second: The other one.
        force: Whether unlike profiles are compared all the same.

    Raises:
        ProfileError: They are unlike, or share no variant.
    """
    unlike = differences(first, second)
    if unlike and not force:
        raise ProfileError(f"These profiles do not compare: {'; '.join(unlike)}. Measure alike, or use --force.")
    pairs = []
    for row in first.rows:
        other = second.find(row.variant)
        if other is not None:
            pairs.append(_pair(row, other))
    if not pairs:
        raise ProfileError("These profiles share no variant: there is nothing to compare.")
    return Comparison(pairs=tuple(pairs), warnings=tuple(unlike))


def differences(first: LatencyProfile, second: LatencyProfile) -> list[str]:
    """What two profiles must have in common and do not, a clause each."""
    found = [
        f"the {place} is not valid ({profile.objections[0].rstrip('.')})"
        for place, profile in (("first", first), ("second", second))
        if not profile.valid
    ]
    if first.threads != second.threads:
        found.append(f"threads are {_words(first.threads)} and {_words(second.threads)}")
    if first.frame_size != second.frame_size:
        found.append(f"the first times {_timed(first)}, the second {_timed(second)}")
    for name, what in (
        ("model_sha256", "model files"),
        ("precision", "precisions"),
        ("includes_transfers", "transfers included"),
        ("cuda_graph", "CUDA graphs"),
        ("num_threads", "threads"),
    ):
        variants = [row.variant.name for row in first.rows if _differs(row, second.find(row.variant), name)]
        if variants and not (name == "num_threads" and first.threads != second.threads):
            others = f" and {len(variants) - 1} more" if len(variants) > 1 else ""
            found.append(f"other {what} of {variants[0]}{others}")
    return found


def _differs(row: ProfileRow, other: ProfileRow | None, name: str) -> bool:
    """Whether both rows tell ``name`` and tell it differently."""
    values = getattr(row, name), None if other is None else getattr(other, name)
    return None not in values and values[0] != values[1]


def _pair(row: ProfileRow, other: ProfileRow) -> Pair:
    figure = "p50" if None not in (row.latency.median_ms, other.latency.median_ms) else "avg"
    one_ms, other_ms = (r.latency.percentile(figure) or r.latency.avg_ms for r in (row, other))
    return Pair(variant=row.variant, first=row, second=other, figure=figure, first_ms=one_ms, second_ms=other_ms)


def _words(threads: int | None) -> str:
    return "not stated" if threads is None else str(threads)


def _timed(profile: LatencyProfile) -> str:
    if profile.frame_size is None:
        return "the inference alone"
    return f"frames of {profile.frame_size[0]}x{profile.frame_size[1]}"
