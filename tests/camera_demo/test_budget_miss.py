"""What is said of a variant that misses the budget: by how much, and which one would keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from camera_demo.budget_miss import BudgetMiss, budget_miss, points_of
from camera_demo.control import Control
from camera_demo.loading import ModelOptions
from edge.budget import Budget
from edge.bundles.bundle import open_bundle
from edge.bundles.variant import Variant
from edge.inference.classifier import Classifier
from edge.inference.recent_times import RecentTimes
from edge.operating_points import OperatingPoint
from tests.camera_demo.openapi import DOCUMENT, check

BIG, MIDDLE, SMALL = (Variant.parse(name) for name in ("1.0_224", "0.5_160", "0.25_128"))
POINTS = tuple(
    OperatingPoint(variant=variant, p95_ms=p95_ms, score=score)
    for variant, p95_ms, score in ((SMALL, 4.0, 41.0), (MIDDLE, 12.0, 60.0), (BIG, 40.0, 71.0))
)


def running(variant: Variant, mode: str, p95_ms: float | None, budget_ms: float = 33.3) -> Any:
    budget = Budget(latency_ms=budget_ms)
    return SimpleNamespace(variant=variant, mode=mode, p95_ms=p95_ms, budget=budget, slowdown=None)


def text(classifier: Any, points: tuple[OperatingPoint, ...] = POINTS) -> str:
    found = budget_miss(classifier, lambda: points)
    assert found is not None
    return found.text


def test_it_says_by_how_much_and_what_would_fit() -> None:
    assert budget_miss(running(BIG, "fixed", 45.0), lambda: POINTS) == BudgetMiss(
        p95_ms=45.0,
        over_ms=11.7,
        fits=MIDDLE.name,
        text="mobilenet_v1_1.00_224 misses the budget of 33.3 ms by 11.7 ms (p95 45 ms). "
        "mobilenet_v1_0.50_160 would keep it, at 13.5 ms.",
    )
    assert text(running(BIG, "pinned", 45.0)).startswith("mobilenet_v1_1.00_224, which you pinned, misses the budget")


def test_what_would_fit_is_as_slow_as_the_one_that_runs() -> None:
    """A machine that is twice as busy as when it was measured."""
    assert text(running(BIG, "fixed", 80.0)).endswith("mobilenet_v1_0.50_160 would keep it, at 24 ms.")
    assert text(running(BIG, "fixed", 120.0)).endswith("mobilenet_v1_0.25_128 would keep it, at 12 ms.")


def test_where_none_would_fit_the_fastest_is_named() -> None:
    found = budget_miss(running(SMALL, "auto", 4.0, 2.0), lambda: POINTS)
    assert found is not None and found.fits is None
    assert found.text == (
        "mobilenet_v1_0.25_128 misses the budget of 2 ms by 2 ms (p95 4 ms). "
        "No variant of this bundle would keep it: mobilenet_v1_0.25_128 is the fastest, at 4 ms."
    )


def test_without_a_profile_it_says_how_to_find_out() -> None:
    found = budget_miss(running(BIG, "fixed", 45.0), lambda: ())
    assert found is not None and found.fits is None
    assert found.text.endswith(" Start without --variant once: that measures which one would keep it.")


@pytest.mark.parametrize("p95_ms", [None, 33.3, 1.0])
def test_nothing_is_said_and_no_profile_read_where_the_budget_is_kept(p95_ms: float | None) -> None:
    def read() -> tuple[OperatingPoint, ...]:
        raise AssertionError("read")

    assert budget_miss(running(BIG, "fixed", p95_ms), read) is None


def test_a_slow_start_is_not_a_miss() -> None:
    times = RecentTimes()
    times.add(900.0)
    for _ in range(18):
        times.add(2.0)
    assert times.p95_ms is None
    times.add(3.0)
    assert times.p95_ms == 3.0
    for _ in range(200):
        times.add(5.0)
    assert times.p95_ms == 5.0


def test_the_state_of_a_fixed_variant_has_it_as_the_description_says(
    make_classifier: Callable[..., Classifier],
) -> None:
    classifier = make_classifier()
    control = Control(classifier, [], find_points=lambda: POINTS)
    classifier.set_budget(Budget(latency_ms=1.0))
    assert control.to_dict()["miss"] is None and classifier.is_holding is None
    for _ in range(20):
        classifier._times.add(2.0)
    assert classifier.is_holding is False
    miss = control.miss
    assert miss is not None and control.to_dict()["miss"] == asdict(miss)
    check(control.to_dict(), DOCUMENT["components"]["schemas"]["Control"])
    classifier.set_budget(Budget(latency_ms=2.0))
    assert control.miss is None and classifier.is_holding is True


def test_what_was_measured_earlier_is_known_of_a_fixed_variant(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    bundle, model, budget = open_bundle("demo"), ModelOptions(variant="0.25_128", backend="fake"), Budget(latency_ms=5)
    assert points_of(bundle, model, None, budget) == ()
    from edge.profiling.profile_cache import profile

    measured = profile(bundle, backend="fake")
    found = points_of(bundle, model, None, budget)
    assert {point.variant for point in found} == {entry.variant for entry in bundle.variants}
    assert found == points_of(bundle, model, measured, budget)
