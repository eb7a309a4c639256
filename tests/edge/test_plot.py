"""Charts: as pictures and on a page, of the same values."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import OutputError
from edge.plot import check_plot, comparison_charts, figure, profile_charts, write_charts
from edge.plot.chart import Axis, Chart, Mark, Series
from edge.profiling.profile import HeatPoint
from tests.edge.conftest import make_bundle, make_profile

TIMES = {"1.00_224": 70.0, "0.50_160": 12.0, "0.25_128": 4.0}
PROFILE = make_profile(TIMES)
BUSY = replace(PROFILE, valid=False, objections=("Other processes kept 140 % of one CPU busy.",))
COURSE = tuple(HeatPoint(at_s=10.0 * n, slowdown=1 + 0.01 * n, temperature_c=50.0 + n) for n in range(12))
SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: Chart, width_in: float = 8.0) -> ET.Element:
    return ET.fromstring(figure.svg([chart], width_in))


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def tips(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def scatter(values: list[float], *, is_log: bool = False, label: str = "") -> Chart:
    marks = tuple(Mark(at=(value, value), name="x", label=label) for value in values)
    axis = Axis(label="v", is_log=is_log)
    return Chart(title="t", x=axis, y=axis, series=(Series(name="x", colour="#000000", marks=marks),))


class TestProfile:
    def test_shows_accuracy_against_latency_and_latency_against_cost(self) -> None:
        accuracy, cost = profile_charts(PROFILE, make_bundle())
        assert accuracy.title == "Top-1 against latency, bundle tiny"
        front, all_variants = accuracy.series
        assert [mark.at for mark in front.marks] == [(4.0, 60.0), (12.0, 80.0), (70.0, 90.0)]
        assert sorted(mark.at for mark in all_variants.marks) == [(4.0, 60.0), (12.0, 80.0), (70.0, 90.0)]
        assert {mark.at[1] for mark in cost.series[0].marks} == {63.0, 10.8, 3.6}

    def test_shows_no_cost_of_networks_whose_name_does_not_tell_it(self) -> None:
        names = {"mobilenet_v2_224": 30.0, "efficientnet_lite0_300": 60.0}
        others = make_profile(names)
        (accuracy,) = profile_charts(others, make_bundle(dict.fromkeys(names, 0.8)))
        assert len(accuracy.series[1].marks) == 2
        *_, cost = profile_charts(make_profile(TIMES | names), make_bundle(dict.fromkeys((*TIMES, *names), 0.8)))
        assert {mark.name for mark in cost.series[0].marks} == {f"mobilenet_v1_{name}" for name in TIMES}

    def test_of_nothing_is_refused(self, tmp_path: Path) -> None:
        profile = make_profile({"mobilenet_v2_224": 30.0})
        charts = comparison_charts(profile, profile, ("A", "B"))
        with pytest.raises(OutputError, match="nothing to draw"):
            write_charts(charts, tmp_path / "plot.svg", title="t")
        assert not list(tmp_path.iterdir())

    def test_labels_the_pareto_front_alone(self) -> None:
        charts = profile_charts(PROFILE, make_bundle({**dict.fromkeys(TIMES, 0.5), "0.25_128": 0.8}))
        assert [mark.at[0] for mark in charts[0].series[0].marks] == [4.0]
        assert len(charts[0].series[1].marks) == 3
        for chart in charts:
            assert [mark.label for mark in chart.series[-1].marks if mark.label] == ["0.25_128"]

    def test_without_a_bundle_labels_every_variant(self) -> None:
        (cost,) = profile_charts(PROFILE, None)
        assert {mark.label for mark in cost.series[0].marks} == set(TIMES)

    def test_falls_back_to_agreement_where_nothing_is_labelled(self) -> None:
        accuracy, _ = profile_charts(PROFILE, make_bundle(dict.fromkeys(TIMES)))
        assert accuracy.y.label == "agreement with float, %"
        assert {mark.at[1] for mark in accuracy.series[1].marks} == {95.0}

    def test_draws_the_budget(self) -> None:
        accuracy, _ = profile_charts(PROFILE, make_bundle(), budget_ms=33.0)
        assert accuracy.limit == (33.0, "budget 33 ms")
        assert texts(drawn(accuracy)).count("budget 33 ms") == 1

    def test_shows_the_course_of_a_sustained_run(self) -> None:
        charts = profile_charts(replace(PROFILE, sustained=COURSE), None)
        assert [chart.title.split(" of ")[0] for chart in charts] == [
            "Latency against mult-adds",
            "Slowdown",
            "Temperature",
        ]

    def test_explains_hollow_points(self) -> None:
        rows = (replace(PROFILE.rows[0], provenance="predicted"), *PROFILE.rows[1:])
        _, cost = profile_charts(replace(PROFILE, rows=rows), make_bundle())
        assert [mark.is_hollow for mark in cost.series[0].marks] == [True, False, False]
        root = drawn(cost)
        assert texts(root).count("hollow: predicted") == 1
        assert [tip.endswith(", predicted") for tip in tips(root)] == [True, False, False]
        _, measured = profile_charts(PROFILE, make_bundle())
        assert not any("hollow" in text for text in texts(drawn(measured)))

    def test_that_is_not_valid_says_so_in_every_chart(self) -> None:
        for chart in profile_charts(replace(BUSY, sustained=COURSE), make_bundle()):
            assert chart.warning == f"{PROFILE.board}: not valid. Other processes kept 140 % of one CPU busy."
            assert "not valid" in " ".join(texts(drawn(chart)))
        assert {chart.warning for chart in profile_charts(PROFILE, make_bundle())} == {""}

    def test_of_two_boards_share_their_axes(self) -> None:
        other = make_profile({name: 2 * value for name, value in TIMES.items()})
        (cost,) = comparison_charts(PROFILE, other, ("A", "B"))
        assert [series.name for series in cost.series] == ["A", "B"]
        root = drawn(cost)
        assert len(tips(root)) == 6
        assert [texts(root).count(name) for name in "AB"] == [1, 1]

    def test_of_two_boards_has_each_name_in_the_legend_once(self) -> None:
        accuracy, _ = comparison_charts(PROFILE, BUSY, ("A", "B"), make_bundle())
        assert accuracy.warning == "B: not valid. Other processes kept 140 % of one CPU busy."
        found = texts(drawn(accuracy))
        assert [found.count(name) for name in ("Pareto front", "A", "B")] == [1, 1, 1]


class TestLayout:
    @pytest.mark.parametrize("is_log", [True, False])
    @pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.001, 900.0], [3.0, 3.0000001], [3.1, 4.2], [40, 60]])
    def test_any_values_have_a_scale(self, values: list[float], is_log: bool) -> None:
        root = drawn(scatter(values, is_log=is_log))
        assert len(tips(root)) == len(values)
        assert sum(bool(re.fullmatch(r"[\d.e−-]+", text)) for text in texts(root)) >= 4

    @pytest.mark.parametrize("width_in", [4.2, 8.0])
    def test_no_label_covers_another_or_a_point(self, width_in: float) -> None:
        rng = np.random.default_rng(0)
        points = [(float(x), float(y)) for x, y in rng.uniform(1, 2, (60, 2))]
        marks = tuple(Mark(at=at, label=f"{number}.00_224") for number, at in enumerate(points))
        chart = scatter([1.0])
        made = figure._figure([replace(chart, series=(replace(chart.series[0], marks=marks),))], width_in)
        (axes,) = made.axes
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert 10 < len(boxes) <= 60
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert not any(box.contains(*axes.transData.transform(at)) for box in boxes for at in points)
        assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)

    def test_a_label_with_room_stands_there(self) -> None:
        assert texts(drawn(scatter([1.0, 2.0], label="0.25_128"))).count("0.25_128") == 2

    def test_names_are_text_not_markup(self) -> None:
        chart = scatter([1.0])
        series = replace(chart.series[0], name="$a$ <b>&", marks=(Mark(at=(1, 1), name="<script>&"),))
        root = drawn(replace(chart, series=(series, replace(series, name="c")), title="$x$ <i>"))
        assert {"$x$ <i>", "$a$ <b>&"} <= set(texts(root))
        assert tips(root)[0] == "<script>&: v 1, v 1"

    def test_a_name_in_a_script_that_the_font_lacks_draws_without_a_warning(self) -> None:
        assert figure.png([replace(scatter([1.0]), title="台灣")], 4.0).startswith(b"\x89PNG")

    def test_the_same_charts_give_the_same_picture(self) -> None:
        assert figure.svg([scatter([1.0, 2.0])], 8.0) == figure.svg([scatter([1.0, 2.0])], 8.0)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A profile's page."""
    path = tmp_path_factory.mktemp("page") / "p.html"
    write_charts(profile_charts(PROFILE, make_bundle()), path, title="tiny")
    return path.read_text(encoding="utf-8")


class TestFiles:
    def test_a_page_needs_no_other_file(self, tmp_path: Path) -> None:
        path = tmp_path / "p.html"
        charts = profile_charts(replace(PROFILE, sustained=COURSE), make_bundle())
        write_charts(charts, path, title="tiny on <Pi>", notes=["threads 4"])
        page = path.read_text(encoding="utf-8")
        assert "<h1>tiny on &lt;Pi&gt;</h1>" in page
        assert "<p>threads 4</p>" in page
        for reference in ("<script", "src=", "@import", "<link", "<img"):
            assert reference not in page
        assert set(re.findall(r"(?:href=\"|url\()(.)", page)) == {"#"}

    def test_a_page_can_be_read_on_a_phone(self, page: str) -> None:
        assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in page
        assert [page.count(f'<div class="{name}"><svg ') for name in ("wide", "narrow", "table")] == [2, 2, 0]
        assert page.count("<table>") == 2
        assert "<td>mobilenet_v1_0.25_128</td><td>4</td><td>60</td>" in page

    def test_the_pictures_of_a_page_share_no_names(self, page: str) -> None:
        used = re.findall(r"(?:href=\"#|url\(#)([^\")]+)", page)
        defined = re.findall(r' id="([^"]+)"', page)
        assert used and all(defined.count(name) == 1 for name in set(used))

    def test_an_svg_is_one_picture_of_every_chart(self, tmp_path: Path) -> None:
        path = tmp_path / "p.svg"
        charts = profile_charts(PROFILE, make_bundle())
        write_charts(charts, path, title="tiny")
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag == f"{SVG}svg"
        assert {chart.title for chart in charts} <= set(texts(root))
        assert len(tips(root)) == 6

    def test_a_picture_holds_every_chart(self, tmp_path: Path) -> None:
        one, two = tmp_path / "1.png", tmp_path / "2.png"
        charts = profile_charts(PROFILE, make_bundle(), budget_ms=33.0)
        write_charts(charts[:1], one, title="tiny")
        write_charts(charts, two, title="tiny")
        first, both = cv2.imread(str(one)), cv2.imread(str(two))
        assert first is not None and both is not None
        assert first.shape == (660, 1200, 3)
        assert both.shape == (1320, 1200, 3)
        assert np.unique(both.reshape(-1, 3), axis=0).shape[0] > 20

    @pytest.mark.parametrize("name", ["p.pdf", "p"])
    def test_another_ending_is_refused_before_any_work(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError) as refused:
            check_plot(tmp_path / name)
        assert str(refused.value) == f"Cannot draw {tmp_path / name}: expected a name that ends in .png, .svg or .html."

    def test_a_missing_folder_is_refused_before_any_work(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="there is no folder"):
            check_plot(tmp_path / "no" / "p.png")

    def test_without_matplotlib_says_how_to_install_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(OutputError) as refused:
            check_plot(tmp_path / "p.png")
        assert str(refused.value) == (
            "Drawing a plot needs matplotlib, which is not installed: ./install.sh --with plot."
        )

    def test_matplotlib_is_imported_where_a_plot_is_drawn_alone(self) -> None:
        code = "import sys, edge.cli.app, edge.plot; sys.exit('matplotlib' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)
