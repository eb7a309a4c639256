"""Compare two latency profiles that were measured under the same conditions."""

from __future__ import annotations

from dataclasses import dataclass

from edge.bundles.variant import Variant
from edge.errors import ProfileError, UnlikeProfilesError
from edge.profiling.profile import LatencyProfile, ProfileRow

__all__ = ["Comparison", "Pair", "compare", "differences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One variant in two profiles."""

    variant: Variant
    first: ProfileRow
    second: ProfileRow
    figure: str
    """What is compared: ``p50``, or ``avg`` where one profile lacks medians."""
    first_ms: float
    second_ms: float

    @property
    def ratio(self) -> float:
        """The second profile's latency as a multiple of the first one's."""
        return self.second_ms / self.first_ms

    @property
    def is_clear(self) -> bool | None:
        """Whether the confidence intervals of the medians do not overlap; None where they are not known."""
        one, other = self.first.latency, self.second.latency
        ends = (one.median_low_ms, one.median_high_ms, other.median_low_ms, other.median_high_ms)
        if self.figure != "p50" or None in ends:
            return None
        one_low, one_high, other_low, other_high = (end or 0.0 for end in ends)
        return one_high < other_low or other_high < one_low


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The variants that two profiles have in common."""

    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]
    """How the conditions differ; empty unless the comparison was forced."""


def compare(first: LatencyProfile, second: LatencyProfile, *, force: bool = False) -> Comparison:
    """Compare two profiles, variant by variant.

    Board, backend, clocks and date may differ: they are what one compares.

    Args:
        first: The reference.
        second: The other one.
        force: Whether to compare profiles of different conditions nevertheless.

    Raises:
        UnlikeProfilesError: They were measured under different conditions.
        ProfileError: They have no variant in common.
    """
    unlike = differences(first, second)
    if unlike and not force:
        raise UnlikeProfilesError(
            f"Cannot compare these profiles: {'; '.join(unlike)}. Measure again under the same conditions."
        )
    pairs = []
    for row in first.rows:
        other = second.find(row.variant)
        if other is not None:
            pairs.append(_pair(row, other))
    if not pairs:
        raise ProfileError("Cannot compare these profiles: they have no variant in common.")
    return Comparison(pairs=tuple(pairs), warnings=tuple(unlike))


def differences(first: LatencyProfile, second: LatencyProfile) -> list[str]:
    """The conditions that differ and must not, a clause each."""
    found = [
        f"the {which} is not valid ({profile.objections[0].rstrip('.')})"
        for which, profile in (("first", first), ("second", second))
        if not profile.valid
    ]
    if first.threads != second.threads:
        found.append(f"threads are {_threads(first)} and {_threads(second)}")
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
            found.append(f"different {what} of {variants[0]}{others}")
    return found


def _differs(row: ProfileRow, other: ProfileRow | None, name: str) -> bool:
    """Whether both rows have a value of ``name``, and not the same."""
    values = getattr(row, name), None if other is None else getattr(other, name)
    return None not in values and values[0] != values[1]


def _pair(row: ProfileRow, other: ProfileRow) -> Pair:
    figure = "p50" if None not in (row.latency.median_ms, other.latency.median_ms) else "avg"
    one_ms, other_ms = (r.latency.percentile(figure) or r.latency.avg_ms for r in (row, other))
    return Pair(variant=row.variant, first=row, second=other, figure=figure, first_ms=one_ms, second_ms=other_ms)


def _threads(profile: LatencyProfile) -> str:
    return "not stated" if profile.threads is None else str(profile.threads)


def _timed(profile: LatencyProfile) -> str:
    if profile.frame_size is None:
        return "the inference alone"
    return f"frames of {profile.frame_size[0]}x{profile.frame_size[1]}"
