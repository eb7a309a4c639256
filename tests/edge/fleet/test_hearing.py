"""Hearing what boards told: from a broker, and from what answers as Prometheus does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edge.errors import ChannelError
from edge.fleet.health_minute import HealthMinute
from edge.fleet.hearing import from_mqtt, from_prometheus
from edge.fleet.reporting import health_topic, state_topic, to_message
from edge.fleet.state import BadVersion, FollowState
from tests.mosquitto import Listener, RealBroker, eventually, free_port, needs_mosquitto

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
OLD, NEW = "a" * 16, "b" * 16
STATE = FollowState(
    board_id="attic",
    host="pi",
    channel="birds",
    installed=OLD,
    latest=NEW,
    ring="first",
    phase="rolled_back",
    bad=(BadVersion(version=NEW, reason="late", at="2026-11-27T17:00:00Z"),),
)


@needs_mosquitto
def test_boards_are_heard_and_junk_is_told_apart(tmp_path: Path) -> None:
    real = RealBroker(tmp_path, free_port())
    real.start()
    with Listener(real.port) as broker:
        for topic, content in (
            (state_topic("attic"), to_message(STATE, NOW)),
            (state_topic("cellar"), to_message(replace(STATE, board_id="cellar", phase="idle"), NOW)),
            (state_topic("liar"), to_message(STATE, NOW)),
            (state_topic("junk"), b"\xff\x00"),
            (state_topic("newer"), json.dumps({"schema_version": 2})),
            ("mobilenet-edge/fleet/attic/install", "install"),
        ):
            broker._client.publish(topic, content, qos=1, retain=True)
        eventually(lambda: len(broker.heard) >= 6)
    heard = from_mqtt(f"mqtt://127.0.0.1:{real.port}", quiet_s=0.3)
    real.stop()
    assert [one.board_id for one in heard.boards] == ["attic", "cellar"]
    attic = heard.boards[0]
    assert (attic.host, attic.ring, attic.installed, attic.latest) == ("pi", "first", OLD, NEW)
    assert (attic.phase, attic.heard, attic.bad[0].reason) == ("rolled_back", NOW, "late")
    assert len(heard.unreadable) == 3 and all("\n" not in line for line in heard.unreadable)


@needs_mosquitto
def test_the_last_minutes_of_a_boards_cameras_tell_how_it_fares(tmp_path: Path) -> None:
    real = RealBroker(tmp_path, free_port())
    real.start()
    minute = HealthMinute(
        ended="2026-11-27T17:19:00Z", seconds=60.0, bundle="b", version=OLD, frames=100, source_up=1.0
    )
    with Listener(real.port) as broker:
        for name, cameras in (
            ("fine", [minute, minute]),
            ("late", [minute, replace(minute, late=6)]),
            ("hot", [replace(minute, hot=True)]),
            ("blind", [replace(minute, source_up=0.0, frames=0)]),
            ("long ago", [replace(minute, late=90, hot=True, ended="2026-11-27T16:00:00Z")]),
            ("ended", [replace(minute, source_up=0.0, frames=0, stopped=True)]),
        ):
            broker._client.publish(
                state_topic(name), to_message(replace(STATE, board_id=name), NOW), qos=1, retain=True
            )
            for number, one in enumerate(cameras):
                broker._client.publish(health_topic(name, f"cam{number}"), one.to_line(), qos=1, retain=True)
        broker._client.publish(health_topic("fine", "junk"), b"\xff{", qos=1, retain=True)
        eventually(lambda: len(broker.heard) >= 15)
    heard = {one.board_id: one for one in from_mqtt(f"mqtt://127.0.0.1:{real.port}", quiet_s=0.3).boards}
    real.stop()
    traits = {name: (one.is_late, one.is_hot, one.lost_camera) for name, one in heard.items()}
    assert traits == {
        "fine": (False, False, False),
        "late": (True, False, False),
        "hot": (False, True, False),
        "blind": (False, False, True),
        "ended": (False, False, False),
        "long ago": (False, False, False),
    }


Samples = dict[str, list[tuple[dict[str, str], float]]]


class FakePrometheus(HTTPServer):
    samples: Samples
    answer: Callable[[str], tuple[int, bytes]] | None = None
    asked: list[dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    server: FakePrometheus

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        self.server.asked.append(dict(self.headers.items()))
        if self.server.answer is not None:
            code, content = self.server.answer(query)
        else:
            name = query.removeprefix("timestamp(").partition(" ")[0]
            found = [
                {"metric": labels, "value": [0, str(seconds)]} for labels, seconds in self.server.samples.get(name, [])
            ]
            code, content = 200, json.dumps({"status": "success", "data": {"result": found}}).encode()
        self.send_response(code)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with FakePrometheus(("127.0.0.1", 0), Handler) as server:
        server.samples, server.asked = {}, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def at(fake: FakePrometheus, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{fake.server_address[1]}"


def labels(instance: str, **more: str) -> dict[str, str]:
    return {"job": "mobilenet-edge", "instance": instance, **more}


INFO, UPDATE, BAD = "mobilenet_edge_board_info", "mobilenet_edge_update_info", "mobilenet_edge_update_bad"
T = 1_800_000_000.0


def test_the_latest_series_of_each_target_counts(fake: FakePrometheus) -> None:
    update = {"channel": "birds", "ring": "first", "latest": NEW}
    fake.samples = {
        INFO: [
            (labels("a:1", board="attic", group="door"), T),
            (labels("a:1", board="", group=""), T - 900),
            (labels("old:1", board="gone", group=""), T - 86400),
            (labels("c:1", board=""), T),
            (labels("none:1", board=""), T),
            (labels("left:1", board="left"), T),
        ],
        UPDATE: [
            (labels("a:1", **update, installed=NEW, phase="watching"), T - 300),
            (labels("a:1", **update, installed=OLD, phase="rolled_back"), T),
            (labels("old:1", **update, installed="none", phase="idle"), T - 86400),
            (labels("c:1", channel="", ring="", latest="", installed="shipped", phase="failed"), T),
            (labels("left:1", **update, installed=OLD, phase="idle"), T - 86400),
        ],
        BAD: [
            (labels("a:1", channel="birds", version=NEW), T),
            (labels("a:1", channel="birds", version="c" * 16), T - 86400),
        ],
    }
    boards = {one.board_id: one for one in from_prometheus(at(fake)).boards}
    assert set(boards) == {"attic", "gone", "c:1"}, "one follows nothing, and one no longer"
    attic = boards["attic"]
    assert (attic.installed, attic.phase, attic.group, attic.ring) == (OLD, "rolled_back", "door", "first")
    assert [one.version for one in attic.bad] == [NEW]
    assert attic.heard == datetime.fromtimestamp(T, timezone.utc)
    assert (boards["gone"].installed, boards["c:1"].channel, boards["c:1"].latest) == (None, None, None)


def test_a_phase_of_a_later_version_is_said(fake: FakePrometheus) -> None:
    fake.samples = {INFO: [(labels("a:1", board="attic"), T)], UPDATE: [(labels("a:1", phase="dancing"), T)]}
    heard = from_prometheus(at(fake))
    assert heard.boards == () and "'dancing'" in heard.unreadable[0]


def test_a_login_is_sent_and_never_shown(fake: FakePrometheus) -> None:
    from_prometheus(at(fake, "me:secret@"))
    assert {headers["Authorization"] for headers in fake.asked} == {"Basic bWU6c2VjcmV0"}
    fake.answer = lambda query: (401, b"no")
    with pytest.raises(ChannelError, match=r"Prometheus at http://\*\*\*@127.0.0.1:\d+ answers 401") as refused:
        from_prometheus(at(fake, "me:secret@"))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((302, b""), "answers 302"),
        ((500, b"x"), "answers 500"),
        ((200, b""), "does not answer as Prometheus does"),
        ((200, b"[]"), "does not answer as Prometheus does"),
        ((200, b'{"status": "error"}'), "does not answer as Prometheus does"),
        ((200, b"[" * 100_000), "does not answer as Prometheus does"),
        ((200, b'{"status": "success", "data": {"result": [1]}}'), "cannot be understood"),
        ((200, b'{"status": "success", "data": {"result": [{"metric": {}, "value": [0, "x"]}]}}'), "cannot be"),
    ],
)
def test_what_is_not_prometheus_is_said(fake: FakePrometheus, answer: tuple[int, bytes], words: str) -> None:
    fake.answer = lambda query: answer
    with pytest.raises(ChannelError, match=words) as refused:
        from_prometheus(at(fake))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("address", ["h", "ftp://h", "http://me:sec/ret@h", "mqtt://h"])
def test_another_address_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(ChannelError, match="is not Prometheus' address") as refused:
        from_prometheus(address)
    assert "sec" not in str(refused.value)


def test_one_that_is_not_there_is_said() -> None:
    with pytest.raises(ChannelError, match=r"cannot be asked: connection refused"):
        from_prometheus(f"http://127.0.0.1:{free_port()}")
