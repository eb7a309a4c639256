"""A secret in any place of an address is in nothing that comes out: errors, tracebacks, logs, page, metrics, MQTT."""

from __future__ import annotations

import json
import logging
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camera_demo.config import read_config
from camera_demo.control import Control
from camera_demo.errors import ConfigError, SourceError
from camera_demo.logs import JsonFormatter
from camera_demo.options import Playback
from camera_demo.run_state import RunState
from camera_demo.session import run
from camera_demo.settings import Settings
from camera_demo.sinks.page import PageSink
from camera_demo.source_id import source_id
from camera_demo.source_status import SourceStatus
from camera_demo.sources import open_source
from camera_demo.stop import Stop
from camera_demo.uri import parse_source

NOBODY = "127.0.0.1:9"
INPUTS = [
    "rtsp://me:{}@" + NOBODY + "/live",
    "rtsp://{}@" + NOBODY + "/live",
    "rtsp://" + NOBODY + "/user=admin&password={}&channel=1.sdp",
    "rtsp://" + NOBODY + "/live?user=admin&pwd={}",
    "rtsps://" + NOBODY + "/{}",
    "http://me:{}@" + NOBODY + "/stream",
    "http://" + NOBODY + "/{}/stream?token={}",
    "https://" + NOBODY + "/?{}",
    "rtsp://me:{}@127.0.0.1:port/live",
    "ftp://me:{}@" + NOBODY,
    "rtsp:me:{}@" + NOBODY,
    "mqtt://me:{}@" + NOBODY + "/topic",
    "me:{}@" + NOBODY + "/live",
]
OUTPUTS = [
    "mqtt://me:{}@" + NOBODY + "/topic",
    "mqtt://{}@" + NOBODY,
    "mqtts://" + NOBODY + "/{}",
    "mqtt://" + NOBODY + "/topic?pwd={}",
    "mqtt://me:{}@127.0.0.1:port/topic",
    "http://me:{}@127.0.0.1:0",
    "http://127.0.0.1:0/{}",
    "rtsp://me:{}@" + NOBODY + "/live",
    "me:{}@" + NOBODY + "/out.mp4",
]
SECRETS = st.builds(
    lambda parts, mark: mark.join(parts),
    st.lists(st.text("abcdefghKLMNOP0123456789", min_size=6, max_size=9), min_size=1, max_size=2),
    st.sampled_from(["", "/", "#", "?", "[", "]", "@", ":", "%", "&", "=", "é", "\\", "%2F"]),
).map(lambda text: f"Q{text}")
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pieces(secret: str) -> set[str]:
    for mark in "/#?[]@:%&=é\\":
        secret = secret.replace(mark, " ")
    return {piece.removeprefix("2F") for piece in secret.split()}


class Said(logging.Handler):
    """Everything that is logged, as text and as JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [record.getMessage(), JsonFormatter().format(record)]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("camera_demo.sinks.mqtt._GOODBYE_S", 0.05)  # no broker is there to hear it
    handler, logger = Said(), logging.getLogger("camera_demo")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def what_a_run_says(said: Said, chosen: Settings) -> str:
    said.lines.clear()
    try:
        run(chosen, Stop(), announce=said.lines.append)
    except Exception as error:  # noqa: BLE001 - whatever ends a run, its traceback must hold no secret
        said.lines.append("".join(traceback.format_exception(error)))
    return "\n".join(said.lines)


@pytest.mark.parametrize("template", INPUTS)
@pytest.mark.parametrize("encode", [str, lambda text: quote(text, safe="")])
@QUICK
@given(secret=SECRETS)
def test_of_an_input(template: str, encode: Any, secret: str, said: Said) -> None:
    text = what_a_run_says(said, Settings(input=template.replace("{}", encode(secret))))
    assert "Error" in text
    assert not [piece for piece in pieces(secret) if piece in text], text


@pytest.mark.parametrize("template", OUTPUTS)
@settings(QUICK, max_examples=4)
@given(secret=SECRETS)
def test_of_an_output(template: str, secret: str, said: Said) -> None:
    chosen = Settings(input="demo", outputs=(template.replace("{}", secret),), variant="0.25_128", max_frames=1)
    text = what_a_run_says(said, chosen)
    assert not [piece for piece in pieces(secret) if piece in text], text


@pytest.mark.parametrize("template", INPUTS[:8])
def test_of_a_camera_that_is_waited_for(template: str, said: Said, make_classifier: Any) -> None:
    uri = parse_source(template.replace("{}", "Qhunter2"))
    run_state = RunState(SourceStatus(uri.name))
    page = PageSink("127.0.0.1", 0, run_state)
    source = open_source(uri, run_state.source, playback=Playback(wait=True))
    try:
        frames = source.frames(Stop())
        next(frames)
        assert run_state.source.now.state == "lost"
        run_state.loaded(Control(make_classifier(), []))
        for path in ("api/state", "api/variants", "metrics", "healthz", "", "api/history"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/{path}", timeout=10) as answer:
                    body = answer.read()
            except urllib.error.HTTPError as refusal:
                with refusal:
                    body = refusal.read()
            assert body and b"hunter2" not in body
        assert "cannot be reached" in run_state.source.now.reason
        assert "hunter2" not in "\n".join(said.lines) + source_id(uri) + repr(uri)
    finally:
        source.close()
        page.close()


@pytest.mark.parametrize(
    "line",
    [
        'outputs = "mqtt://me:hunter2@broker"', 'input = ["rtsp://cam/hunter2"]', 'input = {"rtsp://h" = "hunter2"}',
        "token = 1234567891", '"rtsp://me:hunter2@cam" = 1', 'bundle = ["https://h/x?token=hunter2"]',
    ],
)  # fmt: skip
def test_of_a_configuration(line: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(line)
    with pytest.raises(ConfigError) as raised:
        read_config(tmp_path / "c.toml")
    assert "hunter2" not in str(raised.value) and "1234567891" not in str(raised.value)


def test_of_an_output_that_is_named_twice(said: Said) -> None:
    text = what_a_run_says(said, Settings(input="demo", outputs=("mqtt://me:hunter2@h/t", "mqtt://me:hunter2@h/t")))
    assert "mqtt://***@h/*** is named twice" in text and "hunter2" not in text


def test_of_settings_that_do_not_fit_a_camera() -> None:
    uri = parse_source("rtsp://me:hunter2@cam/hunter2")
    with pytest.raises(SourceError) as raised:
        open_source(uri, SourceStatus(uri.name), playback=Playback(loop=True))
    assert str(raised.value).startswith("rtsp://***@cam/*** is a camera")
    assert "hunter2" not in json.dumps(SourceStatus(uri.name).now.to_dict(0.0))
