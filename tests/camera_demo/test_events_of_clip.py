"""The clip that ships, whose cards come and go at known frames: its events, and each action for them, end to end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from camera_demo import session
from camera_demo.actions.rules import parse_rule
from camera_demo.errors import ConfigError
from camera_demo.settings import Settings
from camera_demo.stop import Stop
from tests.mosquitto import Listener, RealBroker, free_port, needs_mosquitto
from tests.waiting import eventually

CLIP = Path(session.__file__).parent / "clips/digits.json"
VARIANT = "0.50_160"


@dataclass(frozen=True)
class Segment:
    first: int
    last: int
    label: str


def segments() -> list[Segment]:
    """What the clip shows without doubt; between them cards come and go."""
    return [Segment(**values) for values in json.loads(CLIP.read_text())["segments"]]


def run(*outputs: str, **settings: Any) -> None:
    session.run(
        Settings(input="demo", outputs=outputs, variant=VARIANT, threads=1, **settings),
        Stop(),
        announce=lambda line: None,
    )


def events_of(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [event for line in lines for event in line.get("events", ())]


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_events_begin_within_as_many_frames_of_the_truth_as_announce_them_and_none_flickers(
    tmp_path: Path, count: int
) -> None:
    run(f"json:{tmp_path / 'a.jsonl'}", steady=str(count))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    begun = [(line["frame"], event) for line in lines for event in line.get("events", ()) if event["event"] == "begin"]
    cards = [segment for segment in segments() if segment.label != "no card"]
    announced = [(frame, event) for frame, event in begun if event["label"] != "no card"]
    assert [event["label"] for _, event in announced] == [card.label for card in cards], "each once, and no other"
    for (frame, _), card in zip(announced, cards, strict=True):
        assert card.first - 5 <= frame < card.first + count, "announced, counted from where the card is all there"
    for _, event in begun:
        [end] = [e for e in events_of(tmp_path / "a.jsonl") if e["number"] == event["number"] and e["event"] == "end"]
        assert end["end_frame"] - end["start_frame"] + 1 >= count
    for card in cards:
        middle = lines[(card.first + card.last + count) // 2]
        assert middle["steady"] == card.label


@pytest.fixture
def hooks() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *line: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", seen
        server.shutdown()
        thread.join()


@needs_mosquitto
def test_a_command_a_webhook_a_pin_and_mqtt_each_fire_once(
    tmp_path: Path, hooks: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpiozero = pytest.importorskip("gpiozero")
    from gpiozero.pins.mock import MockFactory

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pins = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", pins)
    address, posted = hooks
    log = tmp_path / "log"
    tables: list[dict[str, Any]] = [
        {"class": "five", "run": f'exec:sh -c \'printf "%s " "$0" >> {log}; cat >> {log}\' {{label}}'},
        {"class": "five", "run": f"webhook:{address}", "picture": True},
        {"class": "five", "run": "gpio:17"},
    ]
    broker = RealBroker(tmp_path, free_port())
    broker.start()
    try:
        with Listener(broker.port) as listener:
            mqtt = f"mqtt://127.0.0.1:{broker.port}/cam"
            # At its own pace, so that the connection is there before the card.
            run(mqtt, f"json:{tmp_path / 'a.jsonl'}", pace=True, action=tuple(map(parse_rule, tables)))
            eventually(lambda: "offline" in listener.of("cam/availability"))
    finally:
        broker.stop()
    [begin, end] = [event for event in events_of(tmp_path / "a.jsonl") if event["label"] == "five"]
    assert log.read_text().startswith("five {") and json.loads(log.read_text()[5:])["number"] == begin["number"]
    [hook] = posted
    assert (hook["label"], hook["event"], hook["camera"]) == ("five", "begin", "demo") and hook["picture_jpeg"]
    published = [json.loads(text) for text in listener.of("cam/event")]
    assert [event for event in published if event["label"] == "five"] == [begin, end]
    assert listener.of("cam/seen/five") == ["OFF", "ON", "OFF"]
    assert [change.state for change in pins.pin(17).states] == [False, True, False], "once, and reset"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action": ({"run": "exec:true", "class": "fife"},)}, "action 1: unknown class 'fife': did you mean 'five'?"),
        ({"action": ({"run": "exec:no-such-bell"},)}, "action 1: There is no command 'no-such-bell'"),
        ({"action": ({"run": "exec:true", "region": "door"},)}, "action 1: unknown region 'door'"),
        ({"watch": ["fife"]}, "watch: unknown class 'fife': did you mean 'five'?"),
    ],
)
def test_what_can_never_happen_is_refused_before_the_machine_is_measured(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*arguments: Any, **more: Any) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr(session, "load", measured)
    settings = {**settings, "action": tuple(map(parse_rule, settings.get("action", ())))}
    with pytest.raises(ConfigError) as raised:
        run("terminal", **settings)
    assert message in str(raised.value)
