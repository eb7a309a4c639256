"""``webhook:``: servers that answer, refuse, redirect, and never answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from camera_demo.actions import webhook
from camera_demo.actions.rules import parse_rule
from camera_demo.actions.webhook import WebhookAction
from camera_demo.errors import ConfigError
from camera_demo.events import Event
from tests.waiting import eventually


class Server(ThreadingHTTPServer):
    """Answers with the statuses it is given, then with 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, json.loads(body)))
        self.server.go_on.wait(30)
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("location", "http://127.0.0.1:9/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *line: object) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.go_on.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WebhookAction]]:
    monkeypatch.setattr(webhook, "_PAUSES_S", (0.01, 0.02))
    monkeypatch.setattr(webhook, "_TIMEOUT_S", 1.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made: list[WebhookAction] = []

    def make(address: str, **environment: str) -> WebhookAction:
        made.append(WebhookAction(parse_rule({"run": f"webhook:{address}"}), "attic", environment))
        return made[-1]

    yield make
    for action in made:
        action.close()


def test_the_event_is_sent_once(
    server: Server, make: Callable[..., WebhookAction], make_event: Callable[..., Event]
) -> None:
    action = make(f"{server.address}/hook/${{HOOK}}", HOOK="s3cret")
    action.act(make_event("three"))
    action.close()
    [(path, value)] = server.seen
    assert path == "/hook/s3cret"
    assert (value["event"], value["label"], value["camera"]) == ("begin", "three", "attic")
    assert "picture_jpeg" not in value


@pytest.mark.parametrize(
    ("statuses", "tries", "message"),
    [
        ([500, 503, 200], 3, None),
        ([500] * 9, 3, "failed: it answers 500"),
        ([429, 200], 2, None),
        ([404], 1, "failed: it answers 404"),
        ([301], 1, "failed: it answers with a redirect (301): give the final address"),
        ([307], 1, "failed: it answers with a redirect (307): give the final address"),
    ],
)
def test_what_may_pass_is_tried_again_and_a_redirect_is_not_followed(
    server: Server,
    make: Callable[..., WebhookAction],
    make_event: Callable[..., Event],
    caplog: pytest.LogCaptureFixture,
    statuses: list[int],
    tries: int,
    message: str | None,
) -> None:
    caplog.set_level("DEBUG", "camera_demo")
    server.statuses = list(statuses)
    action = make(f"{server.address}/s3cret")
    action.act(make_event())
    eventually(lambda: len(server.seen) == tries)
    action.close()
    assert len(server.seen) == tries
    port = server.server_address[1]
    assert caplog.messages == ([] if message is None else [f"webhook to 127.0.0.1:{port} {message}"])


def test_one_that_never_answers_or_is_not_there_holds_up_nobody(
    server: Server,
    make: Callable[..., WebhookAction],
    make_event: Callable[..., Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.go_on.clear()
    action = make(f"{server.address}/s3cret")
    started_s = time.monotonic()
    for number in range(100):
        action.act(make_event(number=number))
    assert time.monotonic() - started_s < 30, "one that waited for an answer to each would take 300 s"
    eventually(lambda: "failed: no answer within 1 s" in caplog.text)
    assert "is too slow: 32 events wait, older ones are left out" in caplog.text
    server.go_on.set()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        away = make(f"http://me:s3cret@127.0.0.1:{unused.getsockname()[1]}/s3cret?key=s3cret")
        away.act(make_event())
        eventually(lambda: "failed: cannot be reached (ConnectError)" in caplog.text)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "address", ["ftp://h/s3cret", "https://", "https:///s3cret", "s3cret", "https://h:x/s3cret", "https://h/s3 cret",
                "https://[::1/s3cret", "https://h/s3\ncret"]
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_being_shown(
    make: Callable[..., WebhookAction], address: str
) -> None:
    rule = parse_rule({"run": f"webhook:{address}"})
    with pytest.raises(ConfigError) as raised:
        WebhookAction(rule, "attic", {})
    assert str(raised.value) == "webhook: the address is invalid: expected https://HOST/PATH."
    assert "s3cret" not in rule.name


def test_a_variable_that_is_not_set_is_named(make: Callable[..., WebhookAction]) -> None:
    with pytest.raises(ConfigError, match="webhook: the environment variable HOOK is not set"):
        make("https://h/${HOOK}")


@pytest.mark.parametrize(
    ("address", "is_direct"),
    [
        ("http://127.0.0.1/x", True),
        ("https://localhost/x", True),
        ("http://elsewhere.example/x", True),
        ("https://elsewhere.example/x", False),
    ],
)
def test_a_proxy_is_asked_for_what_is_encrypted_and_elsewhere(
    monkeypatch: pytest.MonkeyPatch, address: str, is_direct: bool
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    action = WebhookAction(parse_rule({"run": f"webhook:{address}"}), "attic", {})
    route = action._client._transport_for_url(action._httpx.URL(address))
    action.close()
    assert (route is action._client._transport) is is_direct
