"""Budgets: what is out of range is refused by name and rule."""

from __future__ import annotations

from typing import Any

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
    with pytest.raises(BudgetError, match="must be above 0 and at most 600000 ms"):
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
