"""Every metric that camera-demo has, by its own page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from camera_demo.control import Control
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink
from camera_demo.source_status import SourceStatus
from edge.board.health import Health
from edge.budget import Budget
from edge.fleet.state import BadVersion, FollowState
from edge.inference.classifier import Classifier
from edge.profiling.equal_board import EqualBoard
from tests.camera_demo.conftest import make_classifier, make_frame, make_result
from tests.camera_demo.sinks.test_answer_metrics import event

__all__ = ["make_classifier", "make_frame", "make_result"]

Metrics = dict[str, set[str]]
"""The names of a metric's labels, by the metric's name."""

FOLLOWING = FollowState(
    board_id="attic",
    group="door",
    channel="birds",
    ring="first",
    installed="aaaaaaaaaaaaaaaa",
    latest="bbbbbbbbbbbbbbbb",
    phase="rolled_back",
    since="2026-11-27T17:00:00Z",
    checked="2026-11-27T17:10:00Z",
    expires="2026-12-27T17:00:00Z",
    bad=(BadVersion(version="bbbbbbbbbbbbbbbb", reason="late", at="2026-11-27T17:00:00Z"),),
)


class SlowedControl(Control):
    """Control of a classifier that goes by a profile, as one that adapts does."""

    slowdown = property(lambda self: 1.02)


EQUAL = EqualBoard(
    host="attic-3", place="a.json", checked="2026-01-01T00:00:00+00:00", tolerance=0.1, ratios={"a": 1.04}
)


def metrics_of(text: str) -> Metrics:
    found: Metrics = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
def metrics(make_result: Callable[..., Result], make_classifier: Callable[..., Classifier]) -> Iterator[Metrics]:
    state = RunState(SourceStatus("feed"), camera="attic")
    classifier = make_classifier()
    classifier.set_budget(Budget(latency_ms=33.0))
    state.loaded(SlowedControl(classifier, (), equal=EQUAL))
    state.on_health(Health(temperature_c=50.0, limit_c=85.0, throttle_bits=0))
    state.on_follow(FOLLOWING)
    state.refused = "cccccccccccccccc", "no variant fits"
    page = PageSink("127.0.0.1", 0, state)
    page.show(make_result())
    page.on_event(event())
    yield metrics_of(httpx.get(f"http://127.0.0.1:{page.port}/metrics", trust_env=False).text)
    page.close()
