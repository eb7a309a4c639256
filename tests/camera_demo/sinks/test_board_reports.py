"""What camera-demo tells of its board's channel to a real broker, and which commands it takes from it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.board_reports import BoardReports
from camera_demo.sinks.broker import Broker
from camera_demo.sinks.home_assistant import board_discovery
from camera_demo.sinks.mqtt import MqttSink
from edge.fleet.health_minute import HealthMinute, parse_minute
from edge.fleet.reporting import health_topic, install_topic, read_report, state_topic
from edge.fleet.requests import REQUEST_FILE
from edge.fleet.state import BadVersion, FollowState
from edge.paths import state_folder
from tests.mosquitto import Listener, RealBroker, free_port, needs_mosquitto
from tests.waiting import eventually

STATE = FollowState(board_id="attic", host="pi", channel="birds", bundle="birds", installed="a" * 16, latest="b" * 16)
STATES = state_topic("attic")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealBroker]:
    broker = RealBroker(tmp_path, free_port())
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def sink(real: RealBroker, run_state: RunState) -> Iterator[MqttSink]:
    broker = Broker(host="127.0.0.1", port=real.port, topic="cam")
    sink = MqttSink(broker, run_state.source, name="mqtt://127.0.0.1", run_state=run_state)
    yield sink
    sink.close()


@needs_mosquitto
def test_each_change_is_retained_and_read_by_others(real: RealBroker, sink: MqttSink, run_state: RunState) -> None:
    run_state.on_follow(STATE)
    with Listener(real.port) as listener:
        eventually(lambda: "online" in listener.of("cam/availability"))
        run_state.on_follow(STATE)
        eventually(lambda: len(listener.of(STATES)) >= 1)
        run_state.on_follow(replace(STATE, phase="testing"))
        eventually(lambda: '"testing"' in listener.of(STATES)[-1])
    with Listener(real.port) as newcomer:
        eventually(lambda: len(newcomer.of(STATES)) == 1)
        assert read_report(STATES, newcomer.of(STATES)[0].encode()).state.phase == "testing"
        configs = [topic for topic, _ in newcomer.heard if topic.startswith("homeassistant/update/")]
        assert len(configs) == 1
        run_state.on_follow(None)
        eventually(lambda: newcomer.of(STATES)[-1] == "" and newcomer.of(configs[0])[-1] == "")
    with Listener(real.port) as later:
        eventually(lambda: bool(later.of("cam/availability")))
        assert not [topic for topic, _ in later.heard if "fleet" in topic or "board" in topic], "nothing is left of it"


@needs_mosquitto
def test_another_name_takes_the_old_one_away(real: RealBroker, sink: MqttSink, run_state: RunState) -> None:
    with Listener(real.port) as listener:
        eventually(lambda: "online" in listener.of("cam/availability"))
        run_state.on_follow(STATE)
        eventually(lambda: bool(listener.of(STATES)))
        run_state.on_follow(replace(STATE, board_id="cellar"))
        eventually(lambda: bool(listener.of(state_topic("cellar"))) and listener.of(STATES)[-1] == "")


@needs_mosquitto
def test_the_button_writes_the_request_and_nothing_else_does(
    real: RealBroker, sink: MqttSink, run_state: RunState, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    request = state_folder() / REQUEST_FILE
    request.unlink(missing_ok=True)
    with Listener(real.port) as broker:
        eventually(lambda: "online" in broker.of("cam/availability"))
        run_state.on_follow(STATE)
        eventually(lambda: bool(broker.of(STATES)))
        send = broker._client.publish
        for junk in (b"", b"install https://evil/bundle.zip", b"\xff" * 50, b'{"version": "c"}', b"INSTALL"):
            send(install_topic("attic"), junk, qos=1)
        send(install_topic("cellar"), b"install", qos=1)
        eventually(lambda: "Ignored a command" in caplog.text)
        assert not request.exists()
        send(install_topic("attic"), b"install", qos=1)
        eventually(request.exists)
        assert request.read_text().strip().replace(".", "").isdigit(), "no word of a message gets there"
        before = request.stat().st_mtime_ns
        for _ in range(300):
            send(install_topic("attic"), b"install", qos=1)
        send(install_topic("attic"), b"junk", qos=1)
        eventually(lambda: len([1 for topic, _ in broker.heard if topic == install_topic("attic")]) >= 307)
        run_state.on_follow(replace(STATE, serial=77))
        eventually(lambda: '"serial": 77' in broker.of(STATES)[-1])
    assert request.stat().st_mtime_ns == before, "one a minute"
    assert len([line for line in caplog.messages if "Ignored a command" in line]) == 1
    assert len([line for line in caplog.messages if "was asked for" in line]) == 1


class FakeClient:
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def is_connected(self) -> bool:
        return True

    def publish(self, topic: str, message: Any, qos: int, retain: bool) -> None:
        assert (qos, retain) == (1, True)
        self.sent.append((topic, message))

    def unsubscribe(self, topic: str) -> None:
        self.sent.append(("unsubscribe", topic))

    def subscribe(self, topic: str) -> None:
        self.sent.append(("subscribe", topic))


class Message:
    def __init__(self, payload: bytes, *, retain: bool = False) -> None:
        self.topic, self.payload, self.retain = install_topic("attic"), payload, retain


@pytest.fixture
def now_s() -> list[float]:
    return [0.0]


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def reports(run_state: RunState, now_s: list[float], requests: list[str]) -> tuple[BoardReports, FakeClient]:
    client = FakeClient()
    made = BoardReports(
        client,  # type: ignore[arg-type]
        run_state,
        availability_topic="cam/availability",
        discovery_prefix="homeassistant",
        request=lambda: requests.append("now"),
        clock=lambda: now_s[0],
    )
    run_state.on_follow(STATE)
    return made, client


def test_each_minute_is_retained_as_the_health_record_has_it(
    reports: tuple[BoardReports, FakeClient], run_state: RunState
) -> None:
    minute = HealthMinute(
        ended="2026-11-27T17:00:00Z", seconds=60.0, bundle="birds", version="a" * 16, frames=9, late=2
    )
    topic = health_topic("attic", "camera")
    run_state.on_minute(minute)
    assert reports[1].sent[-1] == (topic, minute.to_line())
    assert json.loads(minute.to_line())["schema_version"] == 1 and parse_minute(minute.to_line().encode()) == minute
    reports[0].on_connect()
    assert (topic, minute.to_line()) in reports[1].sent[-4:], "a broker that forgot it gets it again"
    run_state.on_follow(None)
    assert (topic, b"") in reports[1].sent


def test_a_minute_that_ends_while_the_board_is_forgotten_goes_to_no_other_topic(
    reports: tuple[BoardReports, FakeClient], run_state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = reports[1]

    def forgotten() -> bool:
        """On another thread, the board ceases to follow its channel meanwhile."""
        monkeypatch.undo()
        run_state.on_follow(None)
        return True

    monkeypatch.setattr(client, "is_connected", forgotten)
    minute = HealthMinute(ended="2026-11-27T17:00:00Z", seconds=60.0, bundle="birds", version="a" * 16, frames=9)
    run_state.on_minute(minute)
    assert not [topic for topic, _ in client.sent if "None" in topic]


def test_a_command_a_minute_is_taken_and_one_line_a_minute_said(
    reports: tuple[BoardReports, FakeClient],
    now_s: list[float],
    requests: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for second in range(150):
        now_s[0] = second
        assert reports[0].on_message(Message(b"install"))
        assert reports[0].on_message(Message(b"junk"))
    assert len(requests) == 3
    assert len(caplog.messages) == 3


def test_a_command_that_the_broker_kept_from_another_day_is_none(
    reports: tuple[BoardReports, FakeClient], requests: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert reports[0].on_message(Message(b"install", retain=True))
    assert requests == [] and "retained" in caplog.text


def test_a_state_that_stays_the_same_is_told_every_ten_minutes(
    reports: tuple[BoardReports, FakeClient], now_s: list[float]
) -> None:
    told = [topic for topic, _ in reports[1].sent].count(STATES)
    for second in range(1801):
        now_s[0] = second
        reports[0].beat(second)
    assert [topic for topic, _ in reports[1].sent].count(STATES) == told + 3


@needs_mosquitto
def test_without_a_channel_nothing_is_told(
    real: RealBroker, sink: MqttSink, run_state: RunState, make_result: Callable[..., Result]
) -> None:
    with Listener(real.port) as listener:
        eventually(lambda: "online" in listener.of("cam/availability"))
        sink.show(make_result())
        eventually(lambda: bool(listener.of("cam/state")))
        assert not [topic for topic, _ in listener.heard if "fleet" in topic or "/update/" in topic]


def rendered(template: str, message: str) -> str:
    """As Home Assistant renders a value template."""
    environment = jinja2.Environment()
    environment.filters["to_json"] = json.dumps
    return environment.from_string(template).render(value=message, value_json=json.loads(message))


def test_home_assistant_finds_a_board_with_its_update_and_diagnostics(
    reports: tuple[BoardReports, FakeClient], run_state: RunState
) -> None:
    bad = BadVersion(version="b" * 16, reason="12 % of the answers late", at="2026-11-27T17:00:00Z")
    run_state.on_follow(
        replace(STATE, phase="rolled_back", bad=(bad,), error="worse: late", checked="2026-11-27T17:00:00Z")
    )
    sent = dict(reports[1].sent)
    configs = {topic: json.loads(text) for topic, text in sent.items() if topic.startswith("homeassistant/")}
    assert set(configs) == set(
        board_discovery("attic", "pi", prefix="homeassistant", availability_topic="cam/availability")
    )
    assert len({config["unique_id"] for config in configs.values()}) == len(configs) == 5
    state, values = sent[STATES], {}
    for topic, config in configs.items():
        assert config["state_topic"] == STATES and config["availability_topic"] == "cam/availability"
        assert config["device"]["identifiers"] and config["device"]["name"] == "pi"
        values[topic.split("/")[1], config["name"]] = rendered(config["value_template"], state)
    (update,) = [config for topic, config in configs.items() if "/update/" in topic]
    assert (update["command_topic"], update["payload_install"]) == (install_topic("attic"), "install")
    assert json.loads(values["update", "Bundle"]) == json.loads(state)["update"]
    assert values["binary_sensor", "Update problem"] == "ON"
    assert values["sensor", "Update phase"] == "rolled_back"
    assert values["sensor", "Looked for updates"] == "2026-11-27T17:00:00Z"
    assert values["sensor", "Ring"] == "none"
    (problem,) = [config for topic, config in configs.items() if "/binary_sensor/" in topic]
    attributes = json.loads(rendered(problem["json_attributes_template"], state))
    assert attributes["bad"][0]["reason"] == "12 % of the answers late" and attributes["error"] == "worse: late"
    (phase,) = [config for config in configs.values() if config["name"] == "Update phase"]
    assert {"idle", "downloading", "rolled_back"} < set(phase["options"])


def test_without_a_prefix_home_assistant_is_left_alone() -> None:
    assert board_discovery("attic", "pi", prefix="", availability_topic="x") == {}
