"""Budgets: what is out of range is refused by name and rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.budget import Budget
from edge.errors import BudgetError


@pytest.mark.parametrize(
    ("latency_ms", "shown"),
    [(0, "0"), (-1, "-1"), (float("nan"), "nan"), (float("inf"), "inf"), (600_001, "600001"), (1e300, "1e+300")],
)
def test_out_of_range_is_refused(latency_ms: float, shown: str) -> None:
    with pytest.raises(BudgetError) as refused:
        Budget(latency_ms=latency_ms)
    assert str(refused.value) == f"A budget must be above 0 and at most 600000 ms, got {shown} ms."


@pytest.mark.parametrize("fps", [0, -30, float("nan"), float("inf")])
def test_a_budget_of_frames_out_of_range_is_refused(fps: float) -> None:
    with pytest.raises(BudgetError) as refused:
        Budget.of(fps=fps)
    assert str(refused.value) == f"fps must be a number above 0, got {fps:g}."


@pytest.mark.parametrize("fps", [1e-300, 1e-5])
def test_a_budget_of_far_too_few_frames_is_refused(fps: float) -> None:
    with pytest.raises(BudgetError, match=r"fps must be at least 0\.0017, one frame in 10 minutes, got 1e-"):
        Budget.of(fps=fps)


def test_a_budget_of_frames_is_one_frames_time() -> None:
    budget = Budget.of(fps=30, percentile="p99", min_top1=60)
    assert budget == Budget(latency_ms=1000 / 30, percentile="p99", min_top1=60)


def test_a_budget_of_an_unknown_percentile_is_refused() -> None:
    with pytest.raises(BudgetError) as refused:
        Budget(latency_ms=10, percentile="p42")
    assert str(refused.value) == "Unknown percentile 'p42': expected one of p50, p90, p95, p99, avg, max."


@pytest.mark.parametrize("min_top1", [-1, 101, float("nan")])
def test_a_budget_of_an_impossible_accuracy_is_refused(min_top1: float) -> None:
    with pytest.raises(BudgetError) as refused:
        Budget(latency_ms=10, min_top1=min_top1)
    assert str(refused.value) == f"min_top1 must be between 0 and 100, got {min_top1:g}."


@pytest.mark.parametrize("max_mb", [0, -1, float("nan"), float("inf")])
def test_a_budget_of_an_impossible_size_is_refused(max_mb: float) -> None:
    with pytest.raises(BudgetError) as refused:
        Budget(latency_ms=10, max_mb=max_mb)
    assert str(refused.value) == f"max_mb must be above 0, got {max_mb:g}."
    with pytest.raises(BudgetError) as refused:
        Budget(latency_ms=10, max_rss_mb=max_mb)
    assert str(refused.value) == f"max_rss_mb must be above 0, got {max_mb:g}."


@pytest.mark.parametrize("share", [0, -5, 101, float("nan")])
def test_a_budget_of_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(BudgetError, match=f"max_cpu_percent must be above 0 and at most 100, got {share:g}"):
        Budget(latency_ms=10, max_cpu_percent=share)


@pytest.mark.parametrize("ways", [{}, {"fps": 30.0, "budget_ms": 10.0}, {"budget": Budget(latency_ms=1), "fps": 1.0}])
def test_a_budget_is_given_in_one_way(ways: dict[str, Any]) -> None:
    with pytest.raises(BudgetError, match="give one of fps, budget_ms and budget"):
        Budget.of(**ways)


def test_a_budget_given_as_such_stays_as_it_is() -> None:
    budget = Budget(latency_ms=10, min_top1=60)
    assert Budget.of(budget) is budget
    assert Budget.of(budget_ms=10, min_top1=60) == budget


@pytest.mark.parametrize("value", ["30", True, b"1", [30]])
@pytest.mark.parametrize("name", ["fps", "budget_ms", "min_top1", "max_mb", "max_rss_mb", "max_cpu_percent"])
def test_what_is_no_number_is_refused_by_name(name: str, value: Any) -> None:
    ways = {name: value} if name in ("fps", "budget_ms") else {"fps": 30, name: value}
    with pytest.raises(BudgetError) as refused:
        Budget.of(**ways)
    assert str(refused.value) == f"{'latency_ms' if name == 'budget_ms' else name} must be a number, got {value!r}."


def test_numbers_of_numpy_are_numbers() -> None:
    assert Budget.of(fps=np.float32(50), max_mb=np.int64(2)) == Budget(latency_ms=20, max_mb=2)


def test_a_number_is_no_budget() -> None:
    wrong: Any = 33
    with pytest.raises(BudgetError) as refused:
        Budget.of(wrong)
    assert str(refused.value) == "Expected a Budget, got 33: give fps, budget_ms or Budget(latency_ms=...)."


def test_conditions_beside_a_budget_are_refused_not_ignored() -> None:
    with pytest.raises(BudgetError) as refused:
        Budget.of(Budget(latency_ms=33), min_top1=90, max_mb=None, percentile="p50")
    assert str(refused.value) == "A Budget is given, and min_top1, percentile beside it: set them in the Budget."
