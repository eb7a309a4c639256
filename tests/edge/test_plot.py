"""Charts: on a page that stands alone and as a picture, of the same values."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import OutputError
from edge.plot import check_plot, comparison_charts, profile_charts, write_charts
from edge.plot.canvas import Raster, Svg
from edge.plot.chart import HEIGHT, WIDTH, Axis, Chart, Mark, Series, render
from edge.profiling.profile import HeatPoint
from tests.edge.conftest import make_bundle, make_profile

TIMES = {"1.00_224": 70.0, "0.50_160": 12.0, "0.25_128": 4.0}
PROFILE = make_profile(TIMES)
COURSE = tuple(HeatPoint(at_s=10.0 * n, slowdown=1 + 0.01 * n, temperature_c=50.0 + n) for n in range(12))


def svg(chart: Chart) -> ET.Element:
    canvas = Svg(WIDTH, HEIGHT)
    render(chart, canvas)
    return ET.fromstring(canvas.element())


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter() if element.tag.endswith(("text", "title"))]


def circles(root: ET.Element) -> list[ET.Element]:
    return [element for element in root.iter() if element.tag.endswith("circle")]


class TestProfile:
    def test_shows_accuracy_against_latency_and_latency_against_cost(self) -> None:
        accuracy, cost = profile_charts(PROFILE, make_bundle())
        assert accuracy.title == "Top-1 against latency, bundle tiny"
        front, all_variants = accuracy.series
        assert [mark.at for mark in front.marks] == [(4.0, 60.0), (12.0, 80.0), (70.0, 90.0)]
        assert sorted(mark.at for mark in all_variants.marks) == [(4.0, 60.0), (12.0, 80.0), (70.0, 90.0)]
        assert {mark.at[1] for mark in cost.series[0].marks} == {63.0, 10.8, 3.6}

    def test_leaves_out_what_another_beats_from_the_front(self) -> None:
        accuracy, _ = profile_charts(PROFILE, make_bundle({**dict.fromkeys(TIMES, 0.5), "0.25_128": 0.8}))
        assert [mark.at[0] for mark in accuracy.series[0].marks] == [4.0]
        assert len(accuracy.series[1].marks) == 3

    def test_falls_back_to_agreement_where_nothing_is_labelled(self) -> None:
        accuracy, _ = profile_charts(PROFILE, make_bundle(dict.fromkeys(TIMES)))
        assert accuracy.y.label == "agreement with float, %"
        assert {mark.at[1] for mark in accuracy.series[1].marks} == {95.0}

    def test_draws_the_budget(self) -> None:
        accuracy, _ = profile_charts(PROFILE, make_bundle(), budget_ms=33.0)
        assert accuracy.limit == (33.0, "budget 33 ms")
        assert "budget 33 ms" in texts(svg(accuracy))

    def test_shows_the_course_of_what_a_sustained_run_told(self) -> None:
        charts = profile_charts(replace(PROFILE, sustained=COURSE), None)
        assert [chart.title.split(" of ")[0] for chart in charts] == [
            "Latency against mult-adds",
            "Slowdown",
            "Temperature",
        ]

    def test_shows_what_is_not_measured_hollow(self) -> None:
        rows = (replace(PROFILE.rows[0], provenance="predicted"), *PROFILE.rows[1:])
        _, cost = profile_charts(replace(PROFILE, rows=rows), make_bundle())
        assert [mark.is_hollow for mark in cost.series[0].marks] == [True, False, False]
        fills = [circle.get("fill") for circle in circles(svg(cost))]
        assert fills.count("#ffffff") == 1

    def test_of_two_boards_share_their_axes(self) -> None:
        other = make_profile({name: 2 * value for name, value in TIMES.items()})
        (cost,) = comparison_charts(PROFILE, other, ("A", "B"))
        assert [series.name for series in cost.series] == ["A", "B"]
        assert len(circles(svg(cost))) == 2 + 6


class TestLayout:
    def test_everything_lies_within_the_picture(self) -> None:
        for chart in profile_charts(replace(PROFILE, sustained=COURSE), make_bundle(), budget_ms=500.0):
            for circle in circles(svg(chart)):
                assert 0 < float(circle.get("cx") or -1) < WIDTH
                assert 0 < float(circle.get("cy") or -1) < HEIGHT

    @pytest.mark.parametrize("is_log", [True, False])
    @pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.001, 900.0], [3.0, 3.0000001]])
    def test_any_values_have_a_scale(self, values: list[float], is_log: bool) -> None:
        marks = tuple(Mark(at=(value, value)) for value in values)
        series = Series(name="x", colour="#000000", marks=marks)
        axis = Axis(label="v", is_log=is_log)
        assert len(circles(svg(Chart(title="t", x=axis, y=axis, series=(series,))))) == 1 + len(values)

    def test_names_are_text_not_markup(self) -> None:
        canvas = Svg(10, 10)
        canvas.text((1, 1), "<script>&")
        canvas.circle((1, 1), 1, "#000000", tip="a<b")
        assert texts(ET.fromstring(canvas.element())) == ["<script>&", "a<b"]

    def test_both_canvases_draw_at_the_same_places(self) -> None:
        canvas = Raster(100, 60)
        canvas.circle((20, 30), 4, "#1f66b0")
        assert canvas.pixels[30, 20].tolist() == [0xB0, 0x66, 0x1F]
        canvas.line((0, 50), (99, 50), "#ff0000")
        assert canvas.pixels[50, 60].tolist() == pytest.approx([0, 0, 255], abs=40)
        canvas.line((0, 55), (99, 55), "#000000", is_dashed=True)
        dashes = canvas.pixels[55, :, 0] < 128
        assert 0.3 < dashes.mean() < 0.8


class TestFiles:
    def test_a_page_needs_no_other_file(self, tmp_path: Path) -> None:
        path = tmp_path / "p.html"
        charts = profile_charts(replace(PROFILE, sustained=COURSE), make_bundle())
        write_charts(charts, path, title="tiny on <Pi>", notes=["threads 4"])
        page = path.read_text(encoding="utf-8")
        assert page.count("<svg ") == 4
        assert "<h1>tiny on &lt;Pi&gt;</h1>" in page
        assert "<p>threads 4</p>" in page
        for reference in ("<script", "src=", "href=", "url(", "@import"):
            assert reference not in page
        assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 0

    def test_a_picture_holds_every_chart(self, tmp_path: Path) -> None:
        path = tmp_path / "p.png"
        write_charts(profile_charts(PROFILE, make_bundle(), budget_ms=33.0), path, title="tiny")
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape == (2 * HEIGHT, WIDTH, 3)
        assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 20

    @pytest.mark.parametrize("name", ["p.pdf", "p", "p.svg"])
    def test_another_ending_is_refused_before_any_work(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError) as refused:
            check_plot(tmp_path / name)
        assert str(refused.value) == f"Cannot draw {tmp_path / name}: expected a name that ends in .png or .html."

    def test_a_missing_folder_is_refused_before_any_work(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="there is no folder"):
            check_plot(tmp_path / "no" / "p.png")
