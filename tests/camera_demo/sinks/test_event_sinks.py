"""Events in the sinks of text, behind a slow one, and at a broker."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camera_demo import session
from camera_demo.events import Event, Moment
from camera_demo.frames import Result
from camera_demo.region import Region
from camera_demo.settings import Settings
from camera_demo.sinks import SinkContext, WatcherLeft
from camera_demo.sinks.broker import Broker
from camera_demo.sinks.home_assistant import discovery
from camera_demo.sinks.json_lines import JsonLinesSink
from camera_demo.sinks.json_lines import open_sink as open_json
from camera_demo.sinks.mqtt import MqttSink
from camera_demo.sinks.outputs import Outputs
from camera_demo.sinks.terminal import TerminalSink, describe
from camera_demo.sinks.threaded_sink import DetachedSink
from camera_demo.sinks.topics import Topics
from camera_demo.source_status import SourceStatus
from camera_demo.stop import Stop
from tests.mosquitto import Listener, RealBroker, free_port, needs_mosquitto
from tests.waiting import eventually

NASTY = 'a "b"/{c}\n+#'
NASTY_TOPIC = "attic/gate/seen/a-b-c-c48d2b"
BEGUN = Event(
    number=1, region="", label="three", class_id=3, start=Moment(10, 1.0, 1e9), last=Moment(14, 1.5, 1e9),
    probability=0.97, best=Moment(12, 1.2, 1e9),
)  # fmt: skip
OVER = replace(BEGUN, is_over=True, last=Moment(40, 4.0, 1e9))
DOOR = Region(left=0, top=0, right=0.5, bottom=1, name="door")
GATE = Region(left=0.5, top=0, right=1, bottom=1, name="gate")


def test_events_stand_in_the_line_of_the_answer_that_led_to_them_or_in_the_last(
    tmp_path: Path, context: SinkContext, make_result: Callable[..., Result]
) -> None:
    sink = open_json(str(tmp_path / "a.jsonl"), context)
    sink.show(make_result(1))
    sink.on_event(BEGUN)
    sink.show(make_result(2))
    sink.show(make_result(3))
    sink.on_event(OVER)
    sink.close()
    sink.close()
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line.get("events") for line in lines] == [None, [BEGUN.to_dict()], None, [OVER.to_dict()]]
    assert [line.get("frame") for line in lines] == [1, 2, 3, None]


def test_a_pipe_that_nobody_reads_any_more_loses_its_last_events_without_a_word() -> None:
    class Pipe(io.RawIOBase):
        def write(self, data: Any) -> int:
            raise BrokenPipeError

    sink = JsonLinesSink(Pipe(), "pipe")
    sink.on_event(BEGUN)
    sink.close()


def test_the_terminal_keeps_a_line_for_each_event(make_result: Callable[..., Result]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, clear in ((Terminal(), "\r\x1b[K"), (io.StringIO(), "")):
        sink = TerminalSink(stream)
        sink.on_event(replace(BEGUN, label="thr\x1bee\n", region="door"))
        sink.on_event(OVER)
        assert stream.getvalue() == f"{clear}door: three begins at 1.0 s\n{clear}three ends at 4.0 s, after 3.0 s\n"


def test_the_terminal_names_every_region(make_result: Callable[..., Result]) -> None:
    gate = make_result(label="four", region=GATE, probability=0.5)
    line = describe(make_result(region=DOOR, elsewhere=(gate,), is_kept=True))
    assert line.startswith("door: three 97%, gate: four 50% | ") and line.endswith(", at rest")


def test_a_slow_sink_gets_every_event_before_the_answer_that_it_came_with(make_result: Callable[..., Result]) -> None:
    seen: list[object] = []
    go_on = threading.Event()

    class Slow:
        wants_picture = False

        def show(self, result: Result) -> None:
            seen.append(result.frame.index)
            go_on.wait(10)

        def on_event(self, event: Event) -> None:
            seen.append("end" if event.is_over else "begin")

        def close(self) -> None:
            seen.append("closed")

    sink = DetachedSink(Slow(), "slow")
    sink.show(make_result(0))
    eventually(lambda: seen == [0])
    for index in range(1, 100):
        if index in (50, 60):
            sink.on_event(OVER if index == 60 else BEGUN)
        sink.show(make_result(index))
    go_on.set()
    sink.close()
    assert [word for word in seen if not isinstance(word, int)] == ["begin", "end", "closed"]
    assert seen[1:3] == ["begin", "end"], "answers were left out, and no event"
    late = DetachedSink(Slow(), "slow")
    late.on_event(BEGUN)
    late.close()
    assert seen[-2:] == ["begin", "closed"]


def test_an_event_ends_the_run_where_nobody_watches_any_more() -> None:
    class Gone:
        def on_event(self, event: Event) -> None:
            raise WatcherLeft

    class Noted:
        def __init__(self) -> None:
            self.seen: list[Event] = []

        def on_event(self, event: Event) -> None:
            self.seen.append(event)

    stop, actions, other = Stop(), Noted(), Noted()
    sinks: Any = [Gone(), other]
    session._on_event(Outputs(sinks), actions, stop, BEGUN)  # type: ignore[arg-type]
    assert stop.is_requested and actions.seen == other.seen == [BEGUN]


@needs_mosquitto
def test_events_and_watched_classes_reach_a_real_broker_under_their_regions(
    tmp_path: Path, source_status: SourceStatus, make_result: Callable[..., Result]
) -> None:
    real = RealBroker(tmp_path, free_port())
    real.start()
    broker = Broker(host="127.0.0.1", port=real.port, topic="attic")
    watched = ("three", NASTY)
    try:
        with Listener(real.port) as listener:
            sink = MqttSink(broker, source_status, name="x", regions=("door", "gate"), watched=watched)
            eventually(lambda: listener.of(NASTY_TOPIC) == ["OFF"])
            sink.show(make_result(1, region=DOOR))
            sink.show(make_result(2, label="four", region=GATE))
            sink.on_event(replace(BEGUN, region="door"))
            sink.on_event(replace(BEGUN, region="gate", class_id=9, label="nine"))
            sink.on_event(replace(BEGUN, region="gate", class_id=4, label=NASTY))
            sink.on_event(replace(OVER, region="door"))
            eventually(lambda: len(listener.of("attic/door/event")) == 2 and len(listener.of("attic/gate/event")) == 2)
            eventually(lambda: listener.of("attic/door/seen/three") == ["OFF", "ON", "OFF"])
            eventually(lambda: listener.of(NASTY_TOPIC) == ["OFF", "ON"])
            eventually(lambda: bool(listener.of("attic/gate/state")))
            assert json.loads(listener.of("attic/door/state")[0])["region_name"] == "door"
            assert json.loads(listener.of("attic/gate/event")[1])["label"] == NASTY
            entities = discovery(Topics(base="attic", regions=("door", "gate"), watched=watched), "homeassistant")
            assert {topic for topic, _ in listener.heard if topic.startswith("homeassistant/")} == set(entities)
        with Listener(real.port) as newcomer:
            eventually(lambda: newcomer.of(NASTY_TOPIC) == ["ON"])
            assert newcomer.of("attic/door/event") == [], "an event is not repeated to those who come later"
        sink.close()
    finally:
        real.stop()


@needs_mosquitto
def test_what_is_seen_is_told_again_to_a_broker_that_was_away(tmp_path: Path, source_status: SourceStatus) -> None:
    real = RealBroker(tmp_path, free_port())
    broker = Broker(host="127.0.0.1", port=real.port, topic="attic", discovery_prefix="")
    sink = MqttSink(broker, source_status, name="x", watched=("three",))
    for _ in range(1000):
        sink.on_event(OVER)
    sink.on_event(BEGUN)
    real.start()
    try:
        with Listener(real.port) as listener:
            eventually(lambda: listener.of("attic/seen/three") == ["ON"], 20)
            assert not listener.of("attic/event"), "old events are of no use"
        sink.close()
    finally:
        real.stop()


def test_home_assistant_gets_an_event_and_a_binary_sensor_for_each_watched_class() -> None:
    topics = Topics(base="attic", regions=("door", "gate"), watched=("three", NASTY))
    found: dict[str, dict[str, Any]] = {
        topic: json.loads(text) for topic, text in discovery(topics, "homeassistant").items()
    }
    by_state = {(topic.split("/")[1], entity["state_topic"]): entity for topic, entity in found.items()}
    assert by_state["binary_sensor", NASTY_TOPIC]["name"] == f"gate: {NASTY}"
    assert by_state["event", "attic/door/event"]["event_types"] == ["begin", "end"]
    names = {entity["name"] for entity in found.values()}
    assert {"door: Label", "gate: Label", "door: three", "gate: three", "door: Event", "Camera"} <= names
    assert len({entity["unique_id"] for entity in found.values()}) == len(found)
    for entity in found.values():
        assert not set(entity["state_topic"]) & set('+#"{}\n ')


@needs_mosquitto
@pytest.mark.parametrize("names", [("attic", "cellar"), (None, None)])
def test_two_cameras_on_one_host_do_not_overwrite_each_other(
    tmp_path: Path, make_clip: Callable[..., Path], bundle_folder: Path, names: tuple[str | None, str | None]
) -> None:
    real = RealBroker(tmp_path, free_port())
    real.start()
    address = f"mqtt://127.0.0.1:{real.port}"
    settings: list[Settings] = []
    for level, name in zip((3, 7), names, strict=True):
        clip = make_clip([level] * 40, f"{level}.mp4")
        settings.append(
            Settings(
                input=str(clip), outputs=(address,), name=name, bundle=str(bundle_folder), backend="fake",
                variant="0.25_128", pace=True, steady="2",
            )
        )  # fmt: skip
    try:
        with Listener(real.port) as listener:
            runs = [
                threading.Thread(target=session.run, args=(each, Stop()), kwargs={"announce": lambda line: None})
                for each in settings
            ]
            for run in runs:
                run.start()
            for run in runs:
                run.join(60)
            said = [(topic, json.loads(text)["label"]) for topic, text in listener.heard if topic.endswith("/state")]
    finally:
        real.stop()
    by_topic = {topic: {label for other, label in said if other == topic} for topic, _ in said}
    assert sorted(map(sorted, by_topic.values())) == [["grey 3"], ["grey 7"]]
    if names[0]:
        assert {topic.split("/")[-2] for topic in by_topic} == {"attic", "cellar"}
