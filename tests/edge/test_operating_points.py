"""The variants a run may use: those that meet every condition but time."""

from __future__ import annotations

import pytest

from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits, ProfileError
from edge.operating_points import OperatingPoint, efficient, operating_points
from tests.edge.conftest import make_bundle, make_profile

TIMES = {"1.00_224": 70.0, "0.50_160": 12.0, "0.25_128": 4.0}
BIG, MIDDLE, SMALL = (Variant.parse(name) for name in TIMES)


def test_all_are_there_fastest_first_however_late() -> None:
    points = operating_points(make_bundle(), make_profile(TIMES), Budget(latency_ms=1.0))
    assert [(point.variant, point.p95_ms, point.score) for point in points] == [
        (SMALL, 4.0, 60.0),
        (MIDDLE, 12.0, 80.0),
        (BIG, 70.0, 90.0),
    ]


def test_the_p95_counts_whatever_the_budgets_percentile() -> None:
    points = operating_points(make_bundle(), make_profile(TIMES), Budget(latency_ms=1.0, percentile="p50"))
    assert points[0].p95_ms == 4.0


def test_other_conditions_hold() -> None:
    budget = Budget(latency_ms=10.0, min_top1=70, max_cpu_percent=50)
    assert [
        point.variant
        for point in operating_points(make_bundle(), make_profile(TIMES), Budget(latency_ms=9, min_top1=70))
    ] == [
        MIDDLE,
        BIG,
    ]
    with pytest.raises(NoVariantFits) as refused:
        operating_points(make_bundle(), make_profile(TIMES), budget)
    assert str(refused.value) == (
        "No variant can be used on Raspberry Pi 4 Model B Rev 1.4, at any latency. "
        "mobilenet_v1_1.00_224: CPU 315 % is over 50 %; mobilenet_v1_0.50_160: CPU 54 % is over 50 %; "
        "mobilenet_v1_0.25_128: top-1 is 60.0 %, below 70 %."
    )


def test_mult_adds_are_the_score_where_nothing_is_labelled() -> None:
    bundle = make_bundle(dict.fromkeys(TIMES))
    points = operating_points(bundle, make_profile(TIMES), Budget(latency_ms=1.0))
    assert [point.score for point in points] == [entry.mult_adds for entry in reversed(bundle.variants)]


def test_the_front_leaves_out_what_another_beats() -> None:
    beaten = OperatingPoint(variant=Variant(0.75, 128), p95_ms=13.0, score=79.0)
    points = operating_points(make_bundle(), make_profile(TIMES), Budget(latency_ms=1.0))
    assert efficient([beaten, *points]) == points


@pytest.mark.parametrize("p95_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_a_point_takes_a_time_that_can_be(p95_ms: float) -> None:
    with pytest.raises(ProfileError, match="expected a number above 0"):
        OperatingPoint(variant=BIG, p95_ms=p95_ms, score=1.0)
