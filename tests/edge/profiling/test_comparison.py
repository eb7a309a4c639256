"""Comparing profiles: what compares, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.board.device import Device
from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.profiling.comparison import compare
from edge.profiling.latency import Latency
from edge.profiling.profile import LatencyProfile, ProfileRow
from tests.edge.conftest import make_profile

FIRST = make_profile({"1.00_224": 70.0, "0.25_128": 4.0})
SECOND = make_profile({"1.00_224": 35.0, "0.25_128": 4.01}, device=Device(board="Raspberry Pi 5 Model B Rev 1.0"))


def with_rows(profile: LatencyProfile, **changes: Any) -> LatencyProfile:
    return replace(profile, rows=tuple(replace(row, **changes) for row in profile.rows))


def test_variants_are_held_against_each_other() -> None:
    big, small = compare(FIRST, SECOND).pairs
    assert (big.variant, big.figure) == (Variant(1.0, 224), "p50")
    assert (big.first_ms, big.second_ms, big.ratio, big.is_clear) == (63.0, 31.5, 0.5, True)
    assert small.is_clear is False, "within the confidence intervals"


def test_only_shared_variants_are_compared() -> None:
    other = make_profile({"0.25_128": 5.0, "0.50_160": 9.0})
    assert [pair.variant for pair in compare(FIRST, other).pairs] == [Variant(0.25, 128)]
    with pytest.raises(ProfileError, match="no variant in common"):
        compare(FIRST, make_profile({"0.50_160": 9.0}))


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (replace(SECOND, threads=1), "threads are 4 and 1"),
        (replace(SECOND, threads=None), "threads are 4 and not stated"),
        (
            replace(SECOND, valid=False, objections=("The clock fell.",)),
            "the second is not valid (The clock fell)",
        ),
        (replace(SECOND, frame_size=(1280, 720)), "the first times frames of 640x480, the second frames of 1280x720"),
        (replace(SECOND, frame_size=None), "the first times frames of 640x480, the second the inference alone"),
        (with_rows(SECOND, precision="fp16"), "different precisions of mobilenet_v1_1.00_224 and 1 more"),
        (with_rows(SECOND, model_sha256="0" * 64), "different model files of mobilenet_v1_1.00_224 and 1 more"),
        (
            with_rows(SECOND, includes_transfers=True),
            "different transfers included of mobilenet_v1_1.00_224 and 1 more",
        ),
        (with_rows(SECOND, cuda_graph=True), "different CUDA graphs of mobilenet_v1_1.00_224 and 1 more"),
        (with_rows(SECOND, num_threads=2), "different threads of mobilenet_v1_1.00_224 and 1 more"),
    ],
)
def test_what_is_unlike_is_refused_unless_forced(other: LatencyProfile, cause: str) -> None:
    with pytest.raises(ProfileError) as refused:
        compare(FIRST, other)
    assert str(refused.value) == f"Cannot compare these profiles: {cause}. Measure again under the same conditions."
    forced = compare(FIRST, other, force=True)
    assert forced.warnings == (cause,)
    assert len(forced.pairs) == 2


def test_means_are_compared_where_a_median_is_not_published() -> None:
    row = ProfileRow(variant=Variant(0.25, 128), latency=Latency(avg_ms=7.36), provenance="published")
    published = replace(FIRST, rows=(row,), source="somebody")
    (pair,) = compare(FIRST, published).pairs
    assert (pair.figure, pair.first_ms, pair.second_ms, pair.is_clear) == ("avg", 3.68, 7.36, None)
