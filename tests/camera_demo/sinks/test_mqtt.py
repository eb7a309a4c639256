"""Answers to a real broker: mosquitto, where it is installed."""

from __future__ import annotations

import json
import re
import socket
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_demo.errors import SinkError
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.broker import Broker, broker_of
from camera_demo.sinks.home_assistant import discovery
from camera_demo.sinks.mqtt import MqttSink
from camera_demo.sinks.topics import Topics, segment
from camera_demo.source_id import source_id
from camera_demo.source_status import SourceStatus
from camera_demo.uri import parse_source
from tests.mosquitto import Listener, RealBroker, free_port, needs_mosquitto
from tests.waiting import eventually


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealBroker]:
    broker = RealBroker(tmp_path, free_port())
    yield broker
    broker.stop()


def sink_at(port: int, source_status: SourceStatus, **changes: Any) -> MqttSink:
    broker = Broker(host="127.0.0.1", port=port, topic="attic/cam", **changes)
    return MqttSink(broker, source_status, name="mqtt://127.0.0.1")


@needs_mosquitto
def test_answers_the_camera_and_the_last_will_reach_a_real_broker(
    real: RealBroker, source_status: SourceStatus, make_result: Callable[..., Result]
) -> None:
    real.start()
    with Listener(real.port) as listener:
        sink = sink_at(real.port, source_status)
        eventually(lambda: "online" in listener.of("attic/cam/availability"))
        sink.show(make_result(1, label="three"))
        eventually(lambda: bool(listener.of("attic/cam/state")))
        state = json.loads(listener.of("attic/cam/state")[0])
        assert (state["label"], state["probability"], state["frame"]) == ("three", 0.97, 1)
        assert listener.of("attic/cam/camera")[-1] == "OFF"
        source_status.found("feed")
        eventually(lambda: listener.of("attic/cam/camera")[-1] == "ON")
        source_status.lost("feed", "unplugged")
        eventually(lambda: listener.of("attic/cam/camera")[-1] == "OFF")
        sink.close()
        eventually(lambda: listener.of("attic/cam/availability")[-1] == "offline")
        configs = {topic for topic, _ in listener.heard if topic.startswith("homeassistant/")}
        assert configs == set(discovery(Topics(base="attic/cam"), "homeassistant"))
    with Listener(real.port) as newcomer:
        eventually(lambda: len(newcomer.heard) >= 10)
        assert configs <= {topic for topic, _ in newcomer.heard}, "what introduces the device is retained"


@needs_mosquitto
def test_a_program_that_dies_is_offline_by_its_last_will(real: RealBroker, source_status: SourceStatus) -> None:
    real.start()
    with Listener(real.port) as listener:
        sink = sink_at(real.port, source_status)
        eventually(lambda: "online" in listener.of("attic/cam/availability"))
        transport: Any = sink._client.socket()
        sink._client.loop_stop()
        transport.shutdown(socket.SHUT_RDWR)
        eventually(lambda: listener.of("attic/cam/availability")[-1] == "offline")
        sink.close()


@needs_mosquitto
def test_a_broker_that_goes_and_comes_back_is_found_again(
    real: RealBroker, source_status: SourceStatus, make_result: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sink = sink_at(real.port, source_status)
    eventually(lambda: "cannot be reached" in caplog.text)
    took_s = []
    for index in range(100):
        start_s = time.perf_counter()
        sink.show(make_result(index))
        took_s.append(time.perf_counter() - start_s)
    assert sorted(took_s)[50] < 0.05, "a broker that is away holds up nobody"
    real.start()
    eventually(lambda: "Connected to mqtt://127.0.0.1" in caplog.text, 15)
    real.stop()
    eventually(lambda: "hung up" in caplog.text)
    real.start()
    with Listener(real.port) as listener:
        eventually(lambda: "online" in listener.of("attic/cam/availability"), 15)
        sink.show(make_result(7))
        eventually(lambda: bool(listener.of("attic/cam/state")))
    sink.close()
    assert len([line for line in caplog.messages if "trying again" in line]) == 2


@needs_mosquitto
def test_a_wrong_password_is_said(
    real: RealBroker, source_status: SourceStatus, caplog: pytest.LogCaptureFixture
) -> None:
    real.start("allow_anonymous false")
    sink = sink_at(real.port, source_status, user="me", password="wrong")
    eventually(lambda: "refuses the connection: " in caplog.text)
    assert "wrong" not in caplog.text
    sink.close()


@needs_mosquitto
def test_the_same_label_is_told_once_a_second_and_a_new_one_at_once(
    real: RealBroker, run_state: RunState, make_result: Callable[..., Result]
) -> None:
    real.start()
    now_s = [0.0]
    broker = Broker(host="127.0.0.1", port=real.port, topic="t", discovery_prefix="")
    with Listener(real.port) as listener:
        sink = MqttSink(broker, run_state.source, name="x", clock=lambda: now_s[0])
        eventually(lambda: "online" in listener.of("t/availability"))
        for number in range(31):
            now_s[0] = 10 + number / 10
            sink.show(make_result(number, label="three" if number != 15 else "four"))
        sink.close()
        eventually(lambda: listener.of("t/availability")[-1] == "offline")
        frames = [json.loads(text)["frame"] for text in listener.of("t/state")]
    assert frames == [0, 10, 15, 17, 27]


@pytest.mark.parametrize(
    ("address", "broker"),
    [
        ("mqtt://h", Broker(host="h", port=1883, topic="?")),
        ("mqtt://h:1884/a/b/", Broker(host="h", port=1884, topic="a/b")),
        ("mqtts://h/t", Broker(host="h", port=8883, topic="t", is_encrypted=True)),
        ("mqtt://u:p%40w@h/t", Broker(host="h", port=1883, topic="t", user="u", password="p@w")),
        ("mqtt://u@h/t", Broker(host="h", port=1883, topic="t", user="u", password="secret")),
        (
            "mqtt://h/t?interval=5&discovery=off",
            Broker(host="h", port=1883, topic="t", interval_s=5, discovery_prefix=""),
        ),
        ("mqtt://h/t?discovery=ha", Broker(host="h", port=1883, topic="t", discovery_prefix="ha")),
    ],
)
def test_an_address_is_understood(address: str, broker: Broker) -> None:
    found = broker_of(address, {"MQTT_PASSWORD": "secret"} if "u@" in address else {})
    if broker.topic == "?":
        assert re.fullmatch(r"mobilenet-edge/[\w-]+", found.topic)
    else:
        assert found == broker


@pytest.mark.parametrize(
    "address",
    ["mqtt://", "mqtt:///t", "mqtt://h:x/t", "mqtt://h/#", "mqtt://h/a+b", "mqtt://h/t?interval=0", "mqtt://h/t?x=1",
     "mqtt://h/t?interval=nan", "mqtt://h/t#f", "mqtt://u:secret@h:99999/t", "mqtt://u:se/cret@h", "mqtt://u:se#cret@h",
     "mqtt://h/t?pwd=secret", "mqtt://u:secret" + 70_000 * "x" + "@h", "mqtt://h/" + 70_000 * "x",
      "mqtt://h/%00", "mqtt://h/$SYS/secret", "mqtt://h/t?discovery=a%2Bb", "mqtt:secret@h"],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(SinkError, match="is not a broker's address: expected mqtt://") as raised:
        broker_of(address, {})
    assert "secret" not in str(raised.value)


def test_home_assistant_gets_one_entity_each_with_its_own_name() -> None:
    messages = {topic: json.loads(text) for topic, text in discovery(Topics(base="attic/cam"), "homeassistant").items()}
    assert len({message["unique_id"] for message in messages.values()}) == len(messages) == 8
    (label,) = (message for topic, message in messages.items() if topic.endswith("_label/config"))
    assert label["state_topic"] == label["json_attributes_topic"] == "attic/cam/state"
    assert label["availability_topic"] == "attic/cam/availability"
    (identifier,) = label["device"]["identifiers"]
    assert re.fullmatch(r"attic_cam_[0-9a-f]{10}", identifier)
    assert discovery(Topics(base="attic/cam"), "") == {}


TOPICS = [
    "attic/cam", "attic_cam", "attic cam", "attic-cam", "attic//cam", "Attic/Cam", "кухня", "спальня", "門口", "küche",
    "kèche", unicodedata.normalize("NFD", "küche"), "_", "/x/", "a" * 200, "a" * 201, "attic/cam/label",
    "attic/cam_label",
]  # fmt: skip


def test_no_two_topics_share_what_home_assistant_knows_them_by() -> None:
    told = [item for name in TOPICS for item in discovery(Topics(base=name), "ha").items()]
    assert len({topic for topic, _ in told}) == len({json.loads(text)["unique_id"] for _, text in told})
    assert len(told) == len({topic for topic, _ in told}) == 8 * len(TOPICS)
    assert all(re.fullmatch(r"ha/(binary_sensor|sensor|event)/[a-zA-Z0-9_-]+/config", topic) for topic, _ in told)
    assert discovery(Topics(base="кухня"), "ha") == discovery(Topics(base="кухня"), "ha")


@settings(deadline=None)
@given(
    topics=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=2, max_size=5, unique=True)
)
def test_topics_of_any_script_stay_apart(topics: list[str]) -> None:
    assert len({topic for name in topics for topic in discovery(Topics(base=name), "ha")}) == 8 * len(topics)


def test_names_and_regions_in_any_script_stay_apart() -> None:
    names = ["門口", "кухня", "front door", "front-door", "front/door", "+", "#", "a" * 70, "a" * 71]
    names += ["\udce9", "\udcea"]
    assert len({segment(name) for name in names}) == len(names)
    topics = [broker_of("mqtt://h", {}, camera=name).topic for name in names]
    assert len(set(topics)) == len(names)
    regions = Topics(base="t", regions=tuple(names), watched=("x",))
    assert len({regions.state(name) for name in names} | {*regions.seen()}) == 2 * len(names)
    entities = [json.loads(text) for text in discovery(regions, "ha").values()]
    assert len({entity["unique_id"] for entity in entities}) == len(entities) == 5 * len(names) + 4
    assert segment("кухня") == "кухня"


@needs_mosquitto
def test_of_two_that_share_a_topic_the_first_to_end_leaves_the_other_online(
    real: RealBroker, source_status: SourceStatus
) -> None:
    real.start()
    with Listener(real.port) as listener:
        one, other = sink_at(real.port, source_status), sink_at(real.port, source_status)
        eventually(lambda: listener.of("attic/cam/availability").count("online") >= 2)
        one.close()
        eventually(lambda: "offline" in listener.of("attic/cam/availability"))
        eventually(lambda: listener.of("attic/cam/availability")[-1] == "online")
        other.close()
        eventually(lambda: listener.of("attic/cam/availability")[-1] == "offline")


def test_without_a_topic_each_source_has_its_own(tmp_path: Path) -> None:
    inputs = ("0", "1", "csi://0", "csi://1", "rtsp://cam/1", "rtsp://cam/2", "http://cam/1", "demo", "synthetic:")
    uris = [parse_source(text) for text in inputs]
    for name in ("a/clip.mp4", "b/clip.mp4", "кухня.mp4", "門口.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        uris.append(parse_source(str(tmp_path / name)))
    topics = [broker_of("mqtt://h", {}, camera=source_id(uri)).topic for uri in uris]
    assert len(set(topics)) == len(uris)
    assert all(re.fullmatch(r"mobilenet-edge/[\w-]+/[a-zA-Z0-9_-]+", topic, re.ASCII) for topic in topics)
    assert topics == [broker_of("mqtt://h", {}, camera=source_id(uri)).topic for uri in uris]
    assert broker_of("mqtt://h/mine", {}, camera="video0").topic == "mine"


def test_a_topic_does_not_tell_a_cameras_password(tmp_path: Path) -> None:
    uri = parse_source("rtsp://me:secret@cam/live")
    for number in (1, 2):
        (tmp_path / str(number) / "etc").mkdir(parents=True)
        (tmp_path / str(number) / "etc/machine-id").write_text(f"{number}\n")
    one, other = (source_id(uri, tmp_path / str(number)) for number in (1, 2))
    assert one != other, "who does not know the machine's own number cannot try passwords"
    assert "secret" not in one and one.startswith("cam-")


@needs_mosquitto
def test_why_a_broker_cannot_be_reached_is_said(source_status: SourceStatus, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(host="nowhere.invalid", port=1, topic="t")
    sink = MqttSink(broker, source_status, name="mqtt://nowhere.invalid")
    eventually(lambda: "cannot be reached: there is no host of this name" in caplog.text)
    sink.close()


def test_a_watched_class_has_a_topic_by_its_label_alone() -> None:
    """Another bundle, or another version of it, numbers its classes otherwise."""
    topics = Topics(base="attic", watched=("crane", "a b", "a/b", "чашка", "x" * 100))
    assert topics.seen_of("", "crane") == "attic/seen/crane"
    assert topics.seen_of("", "чашка") == "attic/seen/чашка"
    assert topics.seen_of("", "tern") is None
    assert len(set(topics.seen())) == 5, "labels that read the same without other characters are kept apart"
    assert all(re.fullmatch(r"attic/seen/[\w-]{1,70}", topic) for topic in topics.seen())
