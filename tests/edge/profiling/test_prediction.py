"""Predicting what was not measured: from a few variants, with an error bar, and marked as what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant
from edge.errors import ProfileError
from edge.profiling.prediction import choose_among, choose_to_measure, fit, predict, published_times
from edge.profiling.reference_profiles import published_profiles
from tests.edge.conftest import make_bundle, make_profile, make_row

FAMILY = [Variant(alpha, side) for alpha in ALPHAS for side in RESOLUTIONS]
CORNERS = [Variant(alpha, side) for alpha in (1.0, 0.25) for side in (224, 128)]
CLASSES = 1000


def formula(c: float, p: float, d: float) -> dict[Variant, float]:
    """What a board would take on which the formula is exact."""
    costs = {v: v.mult_adds(CLASSES) for v in FAMILY}
    return {v: c + p * (m.pointwise + m.classifier) / 1e6 + d * m.depthwise / 1e6 for v, m in costs.items()}


def only(times: dict[Variant, float], variants: list[Variant]) -> dict[Variant, float]:
    return {variant: times[variant] for variant in variants}


class TestFit:
    @given(c=st.floats(0.01, 10), p=st.floats(0.001, 1), d=st.floats(0.01, 10))
    @settings(deadline=None)
    def test_comes_near_a_formula_that_is_exact(self, c: float, p: float, d: float) -> None:
        times = formula(c, p, d)
        made = fit(only(times, CORNERS), CLASSES)
        for variant in FAMILY:
            assert made.ms(variant) == pytest.approx(times[variant], rel=0.15)
            low, high = made.bar(variant)
            assert low < made.ms(variant) < high

    def test_has_no_negative_cost_whatever_it_is_given(self) -> None:
        odd = dict(zip(CORNERS, (10.0, 50.0, 3.0, 40.0), strict=True))
        made = fit(odd, CLASSES)
        assert min(made.coefficients) >= 0
        assert all(made.ms(variant) > 0 for variant in FAMILY)
        assert made.spread > 0.3, "and says that it does not know"

    def test_learns_from_boards_that_depart_from_the_formula_alike(self) -> None:
        odd = {v: ms * (1.3 if v.alpha == 0.5 else 1.0) for v, ms in formula(1, 0.03, 0.7).items()}
        boards = [{v: k * ms for v, ms in odd.items()} for k in (0.5, 2.0, 3.0)]
        half = Variant(0.5, 192)
        plain, corrected = (fit(only(odd, CORNERS), CLASSES, prior).ms(half) for prior in ([], boards))
        assert plain == pytest.approx(odd[half] / 1.3, rel=0.05)
        assert corrected == pytest.approx(odd[half], rel=0.1)

    def test_passes_over_a_board_that_lacks_what_was_measured(self) -> None:
        times = formula(1, 0.03, 0.7)
        lacking = {v: 9.0 for v in FAMILY if v not in CORNERS}
        assert fit(only(times, CORNERS), CLASSES, [lacking]).correction == {}

    def test_needs_four_variants(self) -> None:
        with pytest.raises(ProfileError) as refused:
            fit(only(formula(1, 1, 1), CORNERS[:3]), CLASSES)
        assert str(refused.value) == "Cannot predict from 3 variants: expected 4 or more."


class TestPublishedBoards:
    """Leave twelve of sixteen out, on every board that is published; the table is in ``docs/latency.md``."""

    def test_predict_each_other_within_five_percent_and_better_than_the_formula_alone(self) -> None:
        boards = published_times()
        formula_alone: list[float] = []
        corrected: list[float] = []
        for number, times in enumerate(boards):
            others = [board for other, board in enumerate(boards) if other != number]
            for prior, found in (([], formula_alone), (others, corrected)):
                made = fit(only(times, CORNERS), CLASSES, prior)
                off = [abs(made.ms(v) / ms - 1) for v, ms in times.items() if v not in CORNERS]
                found.append(sum(off) / len(off))
        assert max(corrected) < 0.05
        assert sum(corrected) < sum(formula_alone)

    def test_have_error_bars_that_hold(self) -> None:
        boards, inside = published_times(), []
        for number, times in enumerate(boards):
            made = fit(only(times, CORNERS), CLASSES, [b for n, b in enumerate(boards) if n != number])
            inside += [made.bar(v)[0] <= ms <= made.bar(v)[1] for v, ms in times.items() if v not in CORNERS]
        assert len(inside) == 72
        assert sum(inside) >= 0.9 * 72


class TestChoice:
    def test_of_the_family_is_its_corners(self) -> None:
        assert choose_among(FAMILY) == CORNERS

    def test_of_more_spreads_out(self) -> None:
        chosen = choose_among(FAMILY, 8)
        assert len(set(chosen)) == 8
        assert set(CORNERS) <= set(chosen)

    def test_of_one_width_is_the_ends_and_more(self) -> None:
        widths = [Variant(0.5, side) for side in (224, 192, 160, 128, 96)]
        chosen = choose_among(widths)
        assert {widths[0], widths[-1]} <= set(chosen)
        assert len(chosen) == 4

    def test_of_very_many_is_found_greedily(self) -> None:
        many = [Variant(a / 20, 32 * s) for a in range(1, 21) for s in range(1, 11)]
        chosen = choose_among(many)
        assert {(v.alpha, v.resolution) for v in chosen} == {(0.05, 32), (0.05, 320), (1.0, 32), (1.0, 320)}

    def test_of_a_bundle_no_larger_is_all_of_it(self) -> None:
        assert [v.name for v in choose_to_measure(make_bundle())] == [
            "mobilenet_v1_1.00_224",
            "mobilenet_v1_0.50_160",
            "mobilenet_v1_0.25_128",
        ]

    def test_of_a_bundle_with_other_networks_is_all_of_those_too(self) -> None:
        names = [*(variant.name for variant in FAMILY), "mobilenet_v2_224", "efficientnet_lite0_300"]
        chosen = choose_to_measure(make_bundle(dict.fromkeys(names, 0.8)))
        assert set(chosen) == {*CORNERS, Variant.parse(names[-2]), Variant.parse(names[-1])}


NAMES = ("1.00_224", "1.00_128", "0.50_224", "0.50_160", "0.25_224", "0.25_128")
BUNDLE = make_bundle(dict.fromkeys(NAMES, 0.8))
MEASURED = ("1.00_224", "1.00_128", "0.25_224", "0.25_128")


def profile_of(*names: str, **changes: Any) -> Any:
    times = formula(1.0, 0.03, 0.7)
    return make_profile({name: times[Variant.parse(name)] for name in names}, **changes)


class TestPrediction:
    def test_adds_the_rest_marked_and_keeps_what_was_measured(self) -> None:
        before = profile_of(*MEASURED)
        after = predict(before, BUNDLE)
        assert [row.variant for row in after.rows] == [entry.variant for entry in BUNDLE.variants]
        assert {row.variant.name[-8:]: row.provenance for row in after.rows if row.provenance != "measured"} == {
            "0.50_224": "predicted",
            "0.50_160": "predicted",
        }
        assert all(after.find(row.variant) == row for row in before.rows)

    def test_of_a_row_has_percentiles_in_order_and_error_bars_and_nothing_it_cannot_know(self) -> None:
        row = predict(profile_of(*MEASURED), BUNDLE).find(Variant(0.5, 160))
        assert row is not None
        latency = row.latency
        assert (latency.median_ms or 0) <= (latency.p90_ms or 0) <= (latency.p95_ms or 0)
        assert (latency.median_low_ms or 0) < (latency.median_ms or 0) < (latency.median_high_ms or 0)
        assert (latency.p99_ms, latency.num_runs, latency.init_ms, row.peak_rss_mb, row.infer_ms) == (None,) * 5
        assert (row.num_threads, row.precision) == (4, "int8")
        assert row.model_sha256 == BUNDLE.find(Variant(0.5, 160)).artifacts[0].sha256

    def test_gives_way_to_a_measurement(self) -> None:
        predicted = predict(profile_of(*MEASURED), BUNDLE)
        measured = make_row("0.50_160", 9.0)
        rows = tuple(measured if row.variant == measured.variant else row for row in predicted.rows)
        again = predict(replace(predicted, rows=rows), BUNDLE)
        assert again.find(Variant(0.5, 160)) == measured
        assert [row.provenance for row in again.rows].count("predicted") == 1

    def test_of_a_whole_profile_is_that_profile(self) -> None:
        whole = profile_of(*NAMES)
        assert {row.variant for row in predict(whole, BUNDLE).rows} == {row.variant for row in whole.rows}

    def test_from_too_little_is_refused(self) -> None:
        with pytest.raises(ProfileError, match="Cannot predict from 3 variants"):
            predict(profile_of(*MEASURED[:3]), BUNDLE)

    def test_is_of_mobilenets_v1_alone_and_rests_on_them_alone(self) -> None:
        mixed = make_bundle(dict.fromkeys((*NAMES, "mobilenet_v2_224", "efficientnet_lite0_300"), 0.8))
        before = predict(profile_of(*MEASURED), BUNDLE)
        other = make_row("mobilenet_v2_224", 900.0)
        after = predict(replace(before, rows=(*before.rows, other)), mixed)
        assert {row.variant: row for row in after.rows} == {row.variant: row for row in (*before.rows, other)}

    def test_rests_on_no_predicted_row(self) -> None:
        once = predict(profile_of(*MEASURED), BUNDLE)
        assert predict(once, BUNDLE) == once


def test_six_published_boards_have_all_variants() -> None:
    assert len(published_profiles()) >= 6
    assert all(set(times) == set(FAMILY) for times in published_times())
