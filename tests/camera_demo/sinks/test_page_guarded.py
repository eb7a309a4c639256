"""The page against those who mean no good: too many connections, endless requests, wrong tokens, foreign pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks import SinkContext
from camera_demo.sinks.page import PageSink
from camera_demo.sinks.page import open_sink as open_page
from camera_demo.source_status import SourceStatus
from camera_demo.web.attempts import Attempts
from camera_demo.web.connections import OncePerMinute
from camera_demo.web.hub import Hub
from tests.waiting import eventually

TOKEN = "a key & more/100 % ключ?#"


@pytest.fixture
def locked(run_state: RunState) -> Iterator[PageSink]:
    """A page that needs a token."""
    sink = PageSink("127.0.0.1", 0, run_state, token=TOKEN)
    yield sink
    sink.close()


@contextlib.contextmanager
def connected(page: PageSink, data: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", page.port), timeout=8) as connection:
        connection.sendall(data)
        yield connection


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it, as far as has arrived."""
    connection.setblocking(False)
    try:
        return connection.recv(65536) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            data += part
    return data


def get(page: PageSink, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{page.port}{path}", headers=headers, trust_env=False, timeout=8)


def test_of_200_idle_connections_64_stay_and_a_request_is_still_answered(page: PageSink) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(page)) for _ in range(200)]
        eventually(lambda: sum(is_open(connection) for connection in idle) == 64)
        assert [is_open(connection) for connection in idle] == [False] * 136 + [True] * 64, "the oldest give way"
        assert get(page, "/api/state").status_code == 200


def test_a_stream_keeps_its_place_however_many_connect(
    page: PageSink, run_state: RunState, make_result: Callable[..., Result]
) -> None:
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(connected(page, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert stream.recv(15) == b"HTTP/1.1 200 OK"
        idle = [stack.enter_context(connected(page)) for _ in range(100)]
        eventually(lambda: not is_open(idle[0]))
        page.show(make_result(7))
        stream.settimeout(8)
        data = b""
        while b'"frame":7' not in data:
            data += stream.recv(65536)


def test_where_every_place_is_in_use_a_further_connection_is_closed_at_once(
    page: PageSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camera_demo.web.connections._CONNECTIONS", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stream = stack.enter_context(connected(page, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            stream.recv(15)
        assert received(stack.enter_context(connected(page))) == b""


def test_a_body_that_never_comes_is_not_waited_for(locked: PageSink) -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
    with connected(locked, head) as connection:
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"error":"The body is too large: at most 0 bytes are accepted."}')


def test_an_endless_body_is_cut_off(locked: PageSink) -> None:
    block, sent = b"1000\r\n" + b"a" * 4096 + b"\r\n", 0
    with connected(locked, b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n") as connection:
        assert connection.recv(12) == b"HTTP/1.1 413"
        with pytest.raises(ConnectionError):
            while sent < 100_000_000:
                connection.sendall(block)
                sent += len(block)
    assert sent < 20_000_000, "what the system's buffers hold"


@pytest.mark.parametrize("path", ["/api/control", "/"])
def test_a_request_that_is_not_whole_in_time_is_closed(
    page: PageSink, run_state: RunState, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    run_state.loaded(cast(Any, object()))
    monkeypatch.setattr("camera_demo.web.connections._REQUEST_S", 0.3)
    head = {"/api/control": b"PUT /api/control HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{", "/": b"G"}
    with connected(page, head[path]) as connection:
        assert received(connection) == b""


def test_the_second_request_of_a_connection_has_its_time_too(page: PageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_demo.web.connections._REQUEST_S", 0.3)
    with connected(page, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert connection.recv(12) == b"HTTP/1.1 503"
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert b"HTTP/1.1" not in received(connection)


def test_a_reader_who_takes_nothing_is_cut_off(page: PageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_demo.web.connections._STALLED_S", 0.3)
    many = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(8)
        connection.connect(("127.0.0.1", page.port))
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(many)


def test_what_is_not_http_is_answered_as_json(page: PageSink) -> None:
    with connected(page, b"\x16\x03\x01 hello\r\n\r\n") as connection:
        head, _, body = received(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_errors_of_asyncio_are_logged_once_a_minute(page: PageSink, caplog: pytest.LogCaptureFixture) -> None:
    context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "x")}
    for _ in range(1000):
        page._server._on_error(cast(asyncio.AbstractEventLoop, None), context)
    assert [record.getMessage() for record in caplog.records] == [
        f"The page on port {page.port}: socket.accept() out of system resource: too many open files."
    ]


def test_each_kind_of_message_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    seldom = OncePerMinute(logging.getLogger("x"), clock=lambda: now_s[0])
    for now_s[0] in (0.0, 1.0, 59.9, 60.0, 61.0):
        seldom.warning("a", f"a at {now_s[0]}")
        seldom.warning("b", f"b at {now_s[0]}")
    assert [record.getMessage() for record in caplog.records] == ["a at 0.0", "b at 0.0", "a at 60.0", "b at 60.0"]


def test_health_tells_nothing_of_a_source(locked: PageSink, source_status: SourceStatus) -> None:
    source_status.lost("rtsp://127.0.0.1:9/user=admin&password=s3cret", "rtsp://x/user=admin&password=s3cret is away.")
    answer = get(locked, "/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "source lost"})


def test_the_announced_address_opens_the_page_whatever_the_token_holds(context: SinkContext) -> None:
    said: list[str] = []
    sink = open_page("127.0.0.1:0", replace(context, announce=said.append, token=TOKEN))
    try:
        address = said[0].removeprefix("The live picture is at ")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w.~%-]+", address)
        with httpx.Client(trust_env=False) as browser:
            assert browser.get(address).headers["location"] == "/"
            assert browser.get(f"http://127.0.0.1:{sink.port}/").status_code == 200
        assert get(sink, "/api/state").status_code == 401
        bearer = [(b"authorization", b"Bearer " + TOKEN.encode())]
        state = httpx.get(f"http://127.0.0.1:{sink.port}/api/state", headers=bearer, trust_env=False)
        assert state.status_code == 200
    finally:
        sink.close()


def test_wrong_tokens_are_slowed_down_and_logged_once(locked: PageSink, caplog: pytest.LogCaptureFixture) -> None:
    answers = [get(locked, "/api/state", authorization=f"Bearer guess {n}") for n in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    assert re.fullmatch(r"Too many wrong tokens from your address: try again in \d s\.", answers[-1].json()["error"])
    right = [(b"authorization", b"Bearer " + TOKEN.encode())]
    url = f"http://127.0.0.1:{locked.port}/api/state"
    assert httpx.get(url, headers=right, trust_env=False).status_code == 429, "or else a guess could be tested"
    assert get(locked, "/healthz").status_code == 503
    assert [record.getMessage() for record in caplog.records] == [
        "A wrong token was given from 127.0.0.1. Others are not logged for a minute."
    ]
    elsewhere = {"authorization": "Bearer guess", "x-forwarded-for": "192.0.2.7"}
    assert get(locked, "/api/state", **elsewhere).status_code == 401, "behind a proxy, each address counts for itself"


def test_a_request_without_a_token_is_not_an_attempt(locked: PageSink) -> None:
    assert {get(locked, "/api/state").status_code for _ in range(15)} == {401}


def test_a_cookie_of_another_run_is_removed(locked: PageSink) -> None:
    answer = get(locked, "/", cookie="camera-demo=old")
    assert answer.status_code == 401
    assert answer.headers["set-cookie"].startswith('camera-demo=""; expires=')


def test_attempts_come_back_with_time_and_count_for_each_network() -> None:
    now_s = [1000.0]
    attempts = Attempts(clock=lambda: now_s[0])
    for _ in range(10):
        assert attempts.wait_s("2001:db8::1") == 0
        attempts.count("2001:db8::1")
    assert attempts.wait_s("2001:db8::2") == 6, "the same /64"
    assert attempts.wait_s("2001:db8:0:1::1") == attempts.wait_s("192.0.2.1") == 0
    now_s[0] += 6
    assert attempts.wait_s("2001:db8::1") == 0
    attempts.count("2001:db8::1")
    assert attempts.wait_s("2001:db8::1") == 6
    for number in range(5000):
        attempts.count(f"host {number}")
    assert len(attempts._used_until_s) == 1024


@pytest.mark.parametrize("host", ["x@127.0.0.1", "127.0.0.1:x", "127.0.0.1/", "[::1", "a b"])
def test_a_host_that_is_not_one_is_refused(page: PageSink, locked: PageSink, host: str) -> None:
    for sink in (page, locked):
        with connected(sink, f"GET /api/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()) as asked:
            answer = received(asked)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error":"The Host header is not HOST or HOST:PORT."}')


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/snapshot.jpg", "/stream.mjpg", "/api/state", "/"])
def test_a_foreign_page_gets_no_picture(page: PageSink, site: str, path: str) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    answer = get(page, path, **headers)
    assert (answer.status_code, answer.json()) == (403, {"error": "Cross-origin requests are refused."})


def test_a_link_from_elsewhere_opens_the_page(page: PageSink) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert get(page, "/", **headers).status_code == 200
    assert get(page, "/snapshot.jpg", **headers).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/state", 401), ("POST", "/", 405), ("GET", "/" + "x" * 3000, 414), ("GET", "/?token=wrong", 401)],
)
def test_every_refusal_is_json(locked: PageSink, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"http://127.0.0.1:{locked.port}{path}", trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert list(answer.json()) == ["error"]


def test_an_address_that_leads_nowhere_is_json_too(page: PageSink) -> None:
    assert get(page, "/nowhere").json() == {"error": "Not Found"}


def test_a_name_that_is_not_utf_8_is_shown_all_the_same(
    page: PageSink, source_status: SourceStatus, make_result: Callable[..., Result]
) -> None:
    source_status.found("caf\udce9.mp4")
    page.show(make_result())
    source_status.lost("feed", "caf\udce9.mp4 is gone.")
    assert r"caf\\xe9.mp4 is gone." in get(page, "/api/state").text
    with connected(page, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n") as stream:
        data = b""
        while rb"caf\\xe9.mp4 is gone." not in data:
            data += stream.recv(65536)


def test_an_internal_error_is_json_and_logged_once(
    page: PageSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(hub: Hub) -> Any:
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr(Hub, "history", broken)
    answers = [get(page, "/api/history") for _ in range(3)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(500, {"error": "internal error"})] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "Internal error in /api/history: ZeroDivisionError('by accident')."
    ]
