"""Percentiles: summarized, checked, and as sure as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BudgetError, ProfileError
from edge.profiling.latency import PERCENTILES, Latency, interval
from tests.edge.conftest import make_latency


class TestSamples:
    @given(st.lists(st.lists(st.floats(0.01, 1e6), min_size=5, max_size=5), min_size=1, max_size=12))
    @settings(deadline=None)
    def test_are_summarized_as_numpy_does(self, rounds: list[list[float]]) -> None:
        latency = Latency.of(rounds, init_ms=1.0, warmup_first_ms=2.0)
        assert latency.num_runs == 5 * len(rounds)
        assert latency.is_complete
        assert latency.avg_ms == pytest.approx(np.mean(rounds), abs=1e-3)
        assert latency.std_ms == pytest.approx(np.std(rounds), abs=1e-3)
        for name, percent in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100)):
            assert latency.percentile(name) == pytest.approx(np.percentile(rounds, percent), abs=1e-3)

    def test_are_rounded_to_what_a_clock_tells(self) -> None:
        latency = Latency.of([[1 / 3]], init_ms=1 / 3, warmup_first_ms=2 / 3)
        assert (latency.init_ms, latency.warmup_first_ms, latency.avg_ms) == (0.3333, 0.6667, 0.3333)

    def test_every_figure_has_its_name(self) -> None:
        latency = make_latency(10.0)
        figures = {name: latency.percentile(name) for name in PERCENTILES}
        assert figures == {"p50": 9.0, "p90": 9.5, "p95": 10.0, "p99": 11.0, "avg": 9.2, "max": 15.0}

    @pytest.mark.parametrize("name", ["p42", "median", "", "min", "P95"])
    def test_other_names_are_refused(self, name: str) -> None:
        with pytest.raises(BudgetError) as refused:
            make_latency(10.0).percentile(name)
        assert str(refused.value) == (f"Unknown percentile '{name}': expected one of p50, p90, p95, p99, avg, max.")


class TestNearest:
    def test_is_the_figure_asked_for_where_it_is_known(self) -> None:
        assert make_latency(10.0).nearest("p95") == ("p95", 10.0)

    @pytest.mark.parametrize(
        ("known", "nearest"),
        [
            ({"avg_ms": 5.0}, ("avg", 5.0)),
            ({"avg_ms": 5.0, "p90_ms": 6.0}, ("p90", 6.0)),
            ({"avg_ms": 6.5, "p90_ms": 6.0}, ("avg", 6.5)),
        ],
    )
    def test_is_the_greatest_that_is_known_else(self, known: dict[str, float], nearest: tuple[str, float]) -> None:
        assert Latency(**known).nearest("p95") == nearest  # type: ignore[arg-type]


class TestImpossible:
    @pytest.mark.parametrize(
        ("changes", "cause"),
        [
            ({"avg_ms": 0.0}, "avg_ms is 0: expected a number above 0"),
            ({"avg_ms": float("nan")}, "avg_ms is nan: expected a number of milliseconds"),
            ({"p99_ms": 1.0}, "percentiles must rise: min to max are 8, 8.2, 9, 9.5, 10, 1, 15 ms"),
            ({"median_low_ms": 9.5}, "median_ms is 9, outside its own interval of 9.5 to 9.1 ms"),
            ({"p95_high_ms": 9.0}, "p95_ms is 10, outside its own interval of 9.8 to 9 ms"),
            ({"num_runs": 0}, "num_runs is 0: expected at least one"),
        ],
    )
    def test_figures_are_refused(self, changes: dict[str, Any], cause: str) -> None:
        with pytest.raises(ProfileError) as refused:
            make_latency(10.0, **changes)
        assert str(refused.value) == cause


class TestInterval:
    def test_covers_the_true_median_about_as_often_as_it_says(self) -> None:
        random = np.random.default_rng(7)
        hits = 0
        for _ in range(200):
            low, high = interval(random.lognormal(0, 0.3, (30, 5)), 50)
            hits += low <= 1.0 <= high
        assert 0.88 <= hits / 200 <= 0.99

    def test_is_wider_where_rounds_differ_than_where_only_runs_do(self) -> None:
        random = np.random.default_rng(7)
        within = 1 + 0.1 * random.standard_normal((40, 5))
        between = 1 + 0.1 * random.standard_normal((40, 1)) + np.zeros((40, 5))
        widths = [high - low for low, high in (interval(within, 50), interval(between, 50))]
        assert widths[1] > 1.5 * widths[0]

    def test_of_one_round_is_all_that_was_seen(self) -> None:
        assert interval(np.array([[3.0, 1.0, 2.0]]), 50) == (1.0, 3.0)

    def test_is_the_same_every_time(self) -> None:
        rounds = np.random.default_rng(1).random((9, 5))
        assert interval(rounds, 95) == interval(rounds, 95)
