"""Choosing a variant: what is chosen, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board.device import Device
from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import NoVariantFits
from edge.profiling.latency import PERCENTILES, Latency
from edge.profiling.profile import ProfileRow
from edge.selection import Selection, select
from tests.edge.conftest import TOP1, make_bundle, make_profile

TIMES = {"1.00_224": 70.0, "0.50_160": 12.0, "0.25_128": 4.0}
BIG, MIDDLE, SMALL = (f"mobilenet_v1_{name}" for name in TIMES)
UNLABELLED: Mapping[str, float | None] = dict.fromkeys(TIMES)


def choose(
    latency_ms: float,
    top1: Mapping[str, float | None] = TOP1,
    times: Mapping[str, float] = TIMES,
    **conditions: Any,
) -> Selection:
    return select(sized(make_bundle(top1)), make_profile(times), Budget(latency_ms=latency_ms, **conditions))


def sized(bundle: Bundle) -> Bundle:
    """The bundle with files of 4.2, 1.3 and 0.5 MB."""
    sizes = {BIG: 4_200_000, MIDDLE: 1_300_000, SMALL: 500_000}
    variants = [
        replace(entry, artifacts=(replace(entry.artifacts[0], size_bytes=sizes[entry.variant.name]),))
        for entry in bundle.variants
    ]
    return replace(bundle, manifest=replace(bundle.manifest, variants=tuple(variants)))


def verdicts(selection: Selection) -> dict[str, str]:
    return {c.variant.name: selection.verdict(c) for c in selection.candidates}


def refusal(latency_ms: float, **others: Any) -> str:
    with pytest.raises(NoVariantFits) as refused:
        choose(latency_ms, **others)
    return str(refused.value)


class TestChoice:
    @pytest.mark.parametrize(
        ("latency_ms", "chosen"), [(100, BIG), (70, BIG), (69.99, MIDDLE), (12, MIDDLE), (11.99, SMALL), (4, SMALL)]
    )
    def test_is_the_most_accurate_one_in_time(self, latency_ms: float, chosen: str) -> None:
        assert choose(latency_ms).chosen.variant.name == chosen

    def test_goes_by_measured_accuracy_not_by_size(self) -> None:
        selection = choose(100, {"1.00_224": 0.5, "0.50_160": 0.8, "0.25_128": 0.6})
        assert selection.chosen.variant.name == MIDDLE
        assert selection.ranked_by == "top1"
        assert verdicts(selection) == {
            MIDDLE: "chosen",
            SMALL: "fits; less accurate",
            BIG: "fits; less accurate",
        }

    def test_goes_by_mult_adds_where_the_bundle_was_measured_without_labels(self) -> None:
        selection = choose(20, UNLABELLED)
        assert selection.ranked_by == "mult_adds"
        assert verdicts(selection) == {
            BIG: "50.00 ms over",
            MIDDLE: "chosen",
            SMALL: "fits; fewer mult-adds",
        }

    def test_goes_by_mult_adds_where_one_variant_has_no_accuracy(self) -> None:
        selection = choose(100, {**TOP1, "1.00_224": None})
        assert (selection.ranked_by, selection.chosen.variant.name) == ("mult_adds", BIG)

    def test_takes_the_faster_of_two_that_are_equally_accurate(self) -> None:
        selection = choose(100, dict.fromkeys(TIMES, 0.8))
        assert selection.chosen.variant.name == SMALL
        assert verdicts(selection)[BIG] == "fits; as accurate and slower"

    @pytest.mark.parametrize(
        ("percentile", "chosen"), [("p50", MIDDLE), ("p99", SMALL), ("max", SMALL), ("avg", MIDDLE)]
    )
    def test_holds_the_percentile_asked_for_against_the_budget(self, percentile: str, chosen: str) -> None:
        assert choose(12, percentile=percentile).chosen.variant.name == chosen

    def test_keeps_the_least_accuracy(self) -> None:
        assert verdicts(choose(100, min_top1=85)) == {
            BIG: "chosen",
            MIDDLE: "top-1 is 80.0 %, below 85 %",
            SMALL: "top-1 is 60.0 %, below 85 %",
        }

    def test_an_accuracy_that_was_not_measured_is_not_enough(self) -> None:
        assert "top-1 is not measured, below 10 %" in refusal(100, top1=UNLABELLED, min_top1=10)

    def test_keeps_the_greatest_size(self) -> None:
        assert verdicts(choose(100, max_mb=1.3)) == {
            BIG: "4.20 MB is over 1.3 MB",
            MIDDLE: "chosen",
            SMALL: "fits; less accurate",
        }

    def test_keeps_the_most_memory_and_the_share_of_the_cpus(self) -> None:
        assert verdicts(choose(100, max_cpu_percent=10)) == {
            BIG: "CPU 32 % is over 10 %",
            MIDDLE: "chosen",
            SMALL: "fits; less accurate",
        }
        assert "memory 60 MB is over 50 MB" in refusal(100, max_rss_mb=50)

    def test_a_share_of_the_cpus_grows_with_the_rate(self) -> None:
        slow, fast = (choose(latency_ms, times={"0.25_128": 4.0}).chosen.cpu_percent for latency_ms in (100.0, 10.0))
        assert slow == pytest.approx(100 * 7.2 / 100 / 4)
        assert fast == pytest.approx(10 * (slow or 0))

    def test_what_is_not_known_is_not_enough(self) -> None:
        profile = make_profile(TIMES, device=Device())
        with pytest.raises(NoVariantFits, match="CPU is not measured"):
            select(make_bundle(), profile, Budget(latency_ms=100, max_cpu_percent=90))

    def test_the_front_is_marked(self) -> None:
        selection = choose(100, {"1.00_224": 0.7, "0.50_160": 0.8, "0.25_128": 0.6})
        assert [candidate.variant.name for candidate in selection.front] == [SMALL, MIDDLE]

    def test_published_figures_stand_in_by_the_nearest_percentile(self) -> None:
        rows = [
            ProfileRow(variant=Variant.parse(name), latency=Latency(avg_ms=ms, p90_ms=1.1 * ms), provenance="published")
            for name, ms in TIMES.items()
        ]
        profile = replace(make_profile(TIMES), rows=tuple(rows), source="somebody")
        chosen = select(sized(make_bundle()), profile, Budget(latency_ms=14)).chosen
        assert (chosen.variant.name, chosen.percentile, chosen.provenance) == (MIDDLE, "p90", "published")
        assert chosen.latency_ms == pytest.approx(13.2)

    def test_tells_everything_that_speaks_against_a_variant(self) -> None:
        selection = choose(20, {**TOP1, "1.00_224": 0.1}, min_top1=50, max_mb=2)
        assert verdicts(selection)[BIG] == ("50.00 ms over; top-1 is 10.0 %, below 50 %; 4.20 MB is over 2 MB")

    def test_passes_over_what_the_profile_does_not_have(self) -> None:
        selection = choose(100, times={"0.25_128": 4.0})
        assert selection.chosen.variant.name == SMALL
        assert verdicts(selection)[BIG] == "not in the profile"
        assert selection.candidates[0].latency_ms is None

    def test_passes_over_figures_of_another_model_file(self) -> None:
        profile = make_profile(TIMES)
        rows = (replace(profile.rows[0], model_sha256="0" * 64), *profile.rows[1:])
        selection = select(make_bundle(), replace(profile, rows=rows), Budget(latency_ms=100))
        assert selection.chosen.variant.name == MIDDLE
        assert verdicts(selection)[BIG] == "the profile measured another model file"

    def test_tells_where_a_figure_comes_from(self) -> None:
        profile = make_profile(TIMES)
        rows = tuple(replace(row, provenance="predicted") for row in profile.rows)
        selection = select(make_bundle(), replace(profile, rows=rows), Budget(latency_ms=100))
        assert selection.chosen.provenance == "predicted"

    def test_a_candidate_holds_all_that_a_table_shows(self) -> None:
        chosen = choose(20).chosen
        assert [chosen.latency_ms, chosen.top1, chosen.agreement] == pytest.approx([12, 80, 95])
        assert (chosen.size_mb, chosen.mult_adds) == (1.3, Variant(0.5, 160).mult_adds(5).total)

    @given(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 100)), min_size=3, max_size=3),
        st.floats(0.05, 120),
        st.sampled_from(PERCENTILES),
    )
    def test_nothing_better_was_in_time(
        self, figures: list[tuple[float, float]], latency_ms: float, percentile: str
    ) -> None:
        top1: dict[str, float | None] = {name: f[0] for name, f in zip(TIMES, figures, strict=True)}
        times = {name: f[1] for name, f in zip(TIMES, figures, strict=True)}
        try:
            selection = choose(latency_ms, top1, times, percentile=percentile)
        except NoVariantFits:
            profile = make_profile(times)
            assert all((row.latency.percentile(percentile) or 0) > latency_ms for row in profile.rows)
            return
        chosen = selection.chosen
        assert chosen.latency_ms is not None and chosen.latency_ms <= latency_ms
        for other in selection.candidates:
            if other.fits:
                assert (other.top1, -(other.latency_ms or 0)) <= (chosen.top1, -chosen.latency_ms)
            assert selection.verdict(other)


class TestRefusals:
    def test_name_the_fastest_and_a_budget_that_would_do(self) -> None:
        assert refusal(3) == (
            "No variant meets 3.00 ms p95 on Raspberry Pi 4 Model B Rev 1.4 (litert, 4 threads). "
            "Fastest is mobilenet_v1_0.25_128 at 4.00 ms. Raise the budget to 4.1 ms."
        )

    def test_advise_more_threads_where_the_board_has_more(self) -> None:
        profile = replace(make_profile(TIMES), threads=2)
        with pytest.raises(NoVariantFits, match=r"to 4\.1 ms, or use more threads\.$"):
            select(make_bundle(), profile, Budget(latency_ms=3))

    @pytest.mark.parametrize(
        ("fastest_ms", "enough"),
        [(23.1, "24"), (99.9, "100"), (0.123, "0.13"), (4.0, "4.1"), (1234.5, "1300"), (9.99, "10")],
    )
    def test_name_a_budget_that_really_would_do(self, fastest_ms: float, enough: str) -> None:
        times = {"0.25_128": fastest_ms}
        assert f"Raise the budget to {enough} ms" in refusal(0.01, times=times)
        assert choose(float(enough), times=times).chosen.variant.name == SMALL

    def test_count_one_thread(self) -> None:
        profile = replace(make_profile(TIMES), threads=1, device=Device())
        with pytest.raises(NoVariantFits, match=r"on this machine \(litert, 1 thread\)\."):
            select(make_bundle(), profile, Budget(latency_ms=1))

    def test_name_the_conditions_that_those_in_time_miss(self) -> None:
        assert refusal(20, min_top1=85) == (
            "No variant meets every condition on Raspberry Pi 4 Model B Rev 1.4 (litert, 4 threads). "
            "In time, but: mobilenet_v1_0.50_160: top-1 is 80.0 %, below 85 %; "
            "mobilenet_v1_0.25_128: top-1 is 60.0 %, below 85 %. Loosen min_top1."
        )

    def test_say_so_when_the_profile_is_of_other_variants(self) -> None:
        assert refusal(20, times={"0.75_192": 5.0}) == (
            "The profile has none of this bundle's variants on Raspberry Pi 4 Model B Rev 1.4 (litert, 4 threads): "
            "profile the bundle first."
        )
