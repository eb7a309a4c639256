"""What /metrics counts by label, camera and region."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from camera_demo.control import Control
from camera_demo.events import Event, Moment
from camera_demo.frames import Result
from camera_demo.region import Region
from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink
from camera_demo.source_status import SourceStatus
from edge.inference.classifier import Classifier
from edge.profiling.equal_board import EqualBoard

NASTY = 'a "b" {c}\n\\d #e=1,f'
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def state(source_status: SourceStatus) -> RunState:
    return RunState(source_status, camera="attic")


@pytest.fixture
def page(state: RunState) -> Iterator[PageSink]:
    sink = PageSink("127.0.0.1", 0, state)
    yield sink
    sink.close()


def event(label: str = "three", *, is_over: bool = False, region: str = "") -> Event:
    moment = Moment(1, 0.1, 1e9)
    return Event(
        number=1, region=region, label=label, class_id=3, start=moment, last=moment, is_over=is_over, probability=0.9,
        best=moment,
    )  # fmt: skip


def figures(page: PageSink) -> Figures:
    """Every figure by its name and labels, as Prometheus' own parser reads them."""
    text = httpx.get(f"http://127.0.0.1:{page.port}/metrics", trust_env=False).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def of(found: Figures, name: str, **labels: str) -> float | None:
    return found.get((f"camera_demo_{name}", tuple(sorted({"camera": "attic", **labels}.items()))))


def test_answers_are_counted_by_label_and_region(page: PageSink, make_result: Callable[..., Result]) -> None:
    door = Region(left=0, top=0, right=0.5, bottom=1, name="door")
    for _ in range(3):
        page.show(make_result(region=door, probability=0.97))
    page.show(make_result(region=door, guesses=(), is_unknown=True, probability=0.2))
    page.show(make_result(label="four", is_kept=True, probability=0.6))
    found = figures(page)
    assert of(found, "labels_total", region="door", label="three") == 3
    assert of(found, "labels_total", region="door", label="unknown") == 1
    assert of(found, "labels_total", region="", label="four") == 1
    assert of(found, "unknown_total", region="door") == 1 and of(found, "unknown_total", region="") == 0
    assert of(found, "kept_total", region="") == 1 and of(found, "kept_total", region="door") == 0
    counts = [of(found, "confidence_bucket", region="door", le=edge) for edge in ("0.2", "0.95", "0.99", "+Inf")]
    assert counts == [1, 1, 4, 4]
    assert of(found, "confidence_sum", region="") == pytest.approx(0.6)


def test_a_kept_answer_took_the_model_no_time(page: PageSink, make_result: Callable[..., Result]) -> None:
    page.show(make_result())
    page.show(make_result(is_kept=True))
    assert figures(page)["camera_demo_inference_seconds_count", ()] == 1


def test_events_are_counted_when_they_begin_and_active_until_they_end(page: PageSink) -> None:
    page.on_event(event(region="door"))
    page.on_event(event("four"))
    page.on_event(event("four", is_over=True))
    found = figures(page)
    assert of(found, "events_total", region="door", label="three") == 1
    assert of(found, "events_total", region="", label="four") == 1
    assert of(found, "event_active", region="door", label="three") == 1
    assert of(found, "event_active", region="", label="four") == 0


def test_a_label_of_quotes_braces_and_line_breaks_is_itself(page: PageSink, make_result: Callable[..., Result]) -> None:
    page.show(make_result(label=NASTY))
    page.on_event(event(NASTY))
    found = figures(page)
    assert of(found, "labels_total", region="", label=NASTY) == 1
    assert of(found, "events_total", region="", label=NASTY) == 1


def test_a_thousand_labels_are_fifty_series_and_the_others(page: PageSink, make_result: Callable[..., Result]) -> None:
    for number in range(1000):
        page.show(make_result(number, label=f"class {number}"))
    for number in range(0, 1000, 100):
        page.on_event(event(f"class {number}"))
    found = figures(page)
    labels = [dict(names)["label"] for name, names in found if name == "camera_demo_labels_total"]
    assert len(labels) == 51
    assert of(found, "labels_total", region="", label="other") == 950
    assert of(found, "events_total", region="", label="class 0") == 1
    assert of(found, "events_total", region="", label="other") == 9


def test_a_board_that_goes_by_an_equals_profile_tells_how_far_it_was_off(
    page: PageSink, state: RunState, make_classifier: Callable[..., Classifier]
) -> None:
    ratios = {"mobilenet_v1_0.50_160": 1.04, "mobilenet_v1_0.25_128": 0.98}
    equal = EqualBoard(
        host="attic-3", place="a.json", checked="2026-01-01T00:00:00+00:00", tolerance=0.1, ratios=ratios
    )
    state.loaded(Control(make_classifier(), (), equal=equal))
    found = figures(page)
    for variant, ratio in ratios.items():
        assert found["camera_demo_equal_ratio", (("equal", "attic-3"), ("variant", variant))] == ratio
