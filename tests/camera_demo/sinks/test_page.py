import builtins
import contextlib
import http.client
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import httpx
import numpy as np
import pytest
from starlette.exceptions import HTTPException

from camera_demo.errors import SinkError
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks import SinkContext
from camera_demo.sinks.page import PageSink
from camera_demo.sinks.page import open_sink as open_page
from camera_demo.source_status import SourceStatus
from camera_demo.web import app as page_app_module
from camera_demo.web.address import address_of, is_loopback
from camera_demo.web.hub import Hub
from edge.board.health import Health
from edge.budget import Budget
from edge.errors import VariantError


@pytest.fixture
def shower(page: PageSink, make_result: Callable[..., Result]) -> Iterator[list[float]]:
    """Shows an answer each 10 ms while the test runs, and keeps what each took, in seconds.

    Its pictures are noise, some 250 kB each as JPEG: no buffer of the system holds many.
    """
    stop, took_s = threading.Event(), list[float]()
    noise = np.random.default_rng(0).integers(0, 256, (8, 480, 640, 3), np.uint8)

    def run() -> None:
        index = 0
        while not stop.wait(0.01):
            result = make_result(index)
            image = noise[index % 8].copy()
            image[:16, :16] = index % 256  # so that no two are alike
            result = replace(result, frame=replace(result.frame, image=image))
            start_s = time.perf_counter()
            page.show(result)
            took_s.append(time.perf_counter() - start_s)
            index += 1

    thread = threading.Thread(target=run)
    thread.start()
    yield took_s
    stop.set()
    thread.join()


def jpegs(lines: Iterator[bytes], count: int) -> list[bytes]:
    """The first pictures of a multipart stream."""
    data, found = b"", list[bytes]()
    while len(found) < count:
        data += next(lines)
        head, mark, rest = data.partition(b"\r\n\r\n")
        if mark:
            length = int(head.lower().split(b"content-length: ")[1])
            if len(rest) >= length + 2:
                found.append(rest[:length])
                data = rest[length + 2 :]
    return found


def test_the_stream_gives_one_picture_after_the_other(browser: httpx.Client, shower: list[float]) -> None:
    with browser.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        found = jpegs(answer.iter_raw(), 3)
    assert len(set(found)) == 3
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in found]
    assert [picture is not None and picture.shape for picture in decoded] == [(480, 640, 3)] * 3


def test_the_loop_draws_nothing_for_the_page(page: PageSink, browser: httpx.Client, shower: list[float]) -> None:
    with browser.stream("GET", "/stream.mjpg") as answer:
        parts = answer.iter_raw()
        jpegs(parts, 1)
        assert not page.wants_picture


def test_watchers_are_counted_while_they_watch(browser: httpx.Client, shower: list[float]) -> None:
    def watchers() -> float:
        return figures(browser)["camera_demo_watchers"]

    assert watchers() == 0
    with browser.stream("GET", "/stream.mjpg") as answer:
        parts = answer.iter_raw()
        jpegs(parts, 1)
        assert watchers() == 1
    end_s = time.monotonic() + 5
    while watchers() and time.monotonic() < end_s:
        time.sleep(0.01)
    assert watchers() == 0


def test_the_page_stands_alone(browser: httpx.Client) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for needed in ("/stream.mjpg", "/api/events", "<script>", "<style>"):
        assert needed in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in answer.text


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Names and values of server-sent events."""
    for line in lines:
        if line.startswith("event: "):
            yield line.removeprefix("event: "), json.loads(next(lines).removeprefix("data: "))


def test_state_and_events_are_the_answer_as_json(
    page: PageSink, browser: httpx.Client, make_result: Callable[..., Result]
) -> None:
    assert browser.get("/api/state").json()["answer"] is None
    page.show(make_result(7))
    state = browser.get("/api/state").json()
    assert state["answer"] == make_result(7).to_dict()
    assert state["source"]["state"] == "opening"
    with browser.stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.iter_lines())
        first, second = next(events), next(events)
        assert (first[0], second[0], second[1]["frame"]) == ("live", "answer", 7)
        page.show(make_result(8))
        assert next(value for name, value in events if name == "answer")["frame"] == 8


def test_a_source_that_is_lost_shows_at_once_though_no_frame_comes(
    browser: httpx.Client, source_status: SourceStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camera_demo.web.app._LIVE_S", 600.0)  # not only when it is time to say something again
    with browser.stream("GET", "/api/events") as answer:
        events = events_of(answer.iter_lines())
        assert next(events)[1]["source"]["state"] == "opening"
        source_status.found("feed")
        source_status.lost("feed", "Camera feed was unplugged.")
        seen = next(value["source"] for _, value in events if value["source"]["state"] == "lost")
    assert (seen["reason"], seen["losses"]) == ("Camera feed was unplugged.", 1)
    answer = browser.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "source lost")


def test_the_last_two_minutes_are_sampled_twice_a_second(
    run_state: RunState, make_result: Callable[..., Result]
) -> None:
    now_s = [0.0]
    hub = Hub(run_state, lambda: now_s[0])
    for number in range(400):
        now_s[0] = number * 0.1
        hub.publish(make_result(number, answer_ms=float(number % 5), fps=10.0))
    history = hub.history()
    assert 60 < len(history) < 85
    assert {sample["fps"] for sample in history} == {10.0}
    assert max(sample["max_ms"] for sample in history) == 4.0
    assert all(a["age_s"] > b["age_s"] for a, b in itertools.pairwise(history))


def test_the_metrics_are_prometheus_text(
    page: PageSink,
    browser: httpx.Client,
    source_status: SourceStatus,
    run_state: RunState,
    make_result: Callable[..., Result],
) -> None:
    for index in range(3):
        page.show(make_result(index))
    page.show(make_result(3, budget_ms=1.0))
    source_status.found("feed")
    run_state.on_health(Health(temperature_c=61.5, throttle_bits=0x50000))
    seen = figures(browser)
    assert browser.get("/metrics").headers["content-type"].startswith("text/plain; version=")
    assert seen["camera_demo_answers_total"] == 4
    assert seen["camera_demo_late_total"] == 1
    assert seen["camera_demo_source_up"] == 1
    assert seen["camera_demo_capture_to_answer_seconds_count"] == 4
    assert seen["camera_demo_temperature_celsius"] == 61.5
    assert seen["camera_demo_throttled"] == 0, "it was, but is not now"
    run_state.on_health(Health(temperature_c=84.0, limit_c=85.0, held_back=("Processor",)))
    assert figures(browser)["camera_demo_throttled"] == 1, "the kernel holds a clock down"
    assert figures(browser)["camera_demo_temperature_limit_celsius"] == 85
    assert seen["process_start_time_seconds"] > 1e9
    assert seen['camera_demo_active_info{backend="fake",variant="mobilenet_v1_0.25_128"}'] == 1


def figures(browser: httpx.Client) -> dict[str, float]:
    lines = browser.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_snapshot_is_one_picture(page: PageSink, browser: httpx.Client, make_result: Callable[..., Result]) -> None:
    assert browser.get("/snapshot.jpg").status_code == 503
    page.show(make_result())
    plain, annotated = browser.get("/snapshot.jpg"), browser.get("/snapshot.jpg?overlay=1")
    assert plain.headers["content-type"] == "image/jpeg"
    assert plain.content != annotated.content


class Steered:
    """Stands for a control, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def choose(self, name: str) -> None:
        if name not in ("auto", "small"):
            raise VariantError(f"{name} is not loaded.")
        self.asked.append(name)

    def set_budget(self, latency_ms: float) -> None:
        self.asked.append(Budget(latency_ms=latency_ms).latency_ms)

    def to_dict(self) -> dict[str, Any]:
        return {"active": "small"}

    def options(self) -> list[dict[str, Any]]:
        return [{"name": "small"}]


@pytest.fixture
def steered(run_state: RunState) -> Steered:
    control = Steered()
    run_state.loaded(cast(Any, control))
    return control


@pytest.mark.parametrize(
    ("wish", "asked"),
    [
        ({"budget_ms": 20}, [20.0]),
        ({"fps": 50}, [20.0]),
        ({"variant": "auto"}, ["auto"]),
        ({"variant": "small", "budget_ms": 5.5}, ["small", 5.5]),
    ],
)
def test_the_budget_and_the_variant_can_be_set(
    browser: httpx.Client, steered: Steered, wish: dict[str, Any], asked: list[object]
) -> None:
    answer = browser.put("/api/control", json=wish)
    assert (answer.status_code, answer.json()) == (200, {"active": "small"})
    assert steered.asked == asked
    assert browser.get("/api/variants").json() == [{"name": "small"}]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "The body is not JSON."),
        ("[" * 4000, "The body is not JSON."),
        ("[]", "Expected an object with"),
        ("{}", "Expected an object with"),
        ('{"budget": 3}', "Expected an object with"),
        ('{"fps": 3, "budget_ms": 3}', "Expected an object with"),
        ('{"fps": "30"}', "fps must be a number."),
        ('{"fps": true}', "fps must be a number."),
        ('{"fps": 0}', "fps must be a number above 0, got 0."),
        ('{"budget_ms": -1}', "A budget must be above 0 and at most 600000 ms, got -1 ms"),
        ('{"budget_ms": NaN}', "A budget must be above 0 and at most 600000 ms, got nan ms"),
        ('{"fps": 1' + "0" * 400 + "}", "fps is too large."),
        ('{"budget_ms": 1' + "0" * 400 + "}", "budget_ms is too large."),
        ('{"fps": 1' + "0" * 4000 + "}", "fps is too large."),
        ('{"budget_ms": 1e999}', "A budget must be above 0 and at most 600000 ms, got inf ms"),
        ('{"variant": 1}', 'variant must be a name, or "auto".'),
        ('{"variant": null}', 'variant must be a name, or "auto".'),
        (r'{"variant": "\ud800"}', 'variant must be a name, or "auto".'),
        (r'{"variant": "\u001b[31m"}', 'variant must be a name, or "auto".'),
        ('{"variant": "small", "budget_ms": 0}', "A budget must be above 0"),
        ('{"variant": "huge", "budget_ms": 5}', "huge is not loaded."),
        ('{"variant": "huge"}', "huge is not loaded."),
    ],
)
def test_an_invalid_control_request_is_refused(browser: httpx.Client, steered: Steered, body: str, error: str) -> None:
    answer = browser.put("/api/control", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)
    assert steered.asked == []


def test_until_the_model_is_loaded_there_is_nothing_to_steer(browser: httpx.Client) -> None:
    answers = [browser.put("/api/control", json={"fps": 3}), browser.get("/api/variants")]
    assert {answer.status_code for answer in answers} == {503}


TOKEN = "correct horse battery"


@pytest.fixture
def locked(run_state: RunState) -> Iterator[str]:
    """The address of a page that needs a token."""
    sink = PageSink("127.0.0.1", 0, run_state, token=TOKEN)
    yield f"http://127.0.0.1:{sink.port}"
    sink.close()


def test_with_a_token_nothing_but_health_is_open(locked: str) -> None:
    with httpx.Client(base_url=locked, trust_env=False) as browser:
        for path in ("/", "/stream.mjpg", "/snapshot.jpg", "/api/state", "/api/events", "/metrics", "/nowhere"):
            answer = browser.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert browser.put("/api/control", json={"fps": 3}).status_code == 401
        assert browser.get("/healthz").status_code == 503


@pytest.mark.parametrize("wrong", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"])
def test_a_wrong_token_is_none(locked: str, wrong: str) -> None:
    headers = [(b"authorization", wrong.encode("latin-1"))]
    assert httpx.get(f"{locked}/api/state", headers=headers, trust_env=False).status_code == 401
    assert httpx.get(f"{locked}/?token={TOKEN[:-1]}", trust_env=False).status_code == 401


def test_a_program_sends_the_token_and_a_browser_keeps_it_in_a_cookie(locked: str) -> None:
    state = httpx.get(f"{locked}/api/state", headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)
    assert state.status_code == 200
    with httpx.Client(base_url=locked, trust_env=False) as browser:
        welcome = browser.get("/", params={"token": TOKEN})
        assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
        cookie = welcome.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert browser.get("/").status_code == 200
        assert browser.put("/api/control", json={"fps": 3}).status_code == 503


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "192.168.1.7", "", "localhost.evil.example"])
def test_without_a_token_only_names_of_this_machine_are_answered(browser: httpx.Client, host: str) -> None:
    assert browser.get("/api/state", headers={"host": host}).status_code == 403


def test_pages_from_elsewhere_can_ask_nothing(page: PageSink, browser: httpx.Client, steered: Steered) -> None:
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{page.port + 1}"):
        assert browser.put("/api/control", json={"fps": 3}, headers={"origin": origin}).status_code == 403
    own = {"origin": f"http://127.0.0.1:{page.port}"}
    assert browser.put("/api/control", json={"fps": 3}, headers=own).status_code == 200
    assert steered.asked == [1000 / 3]


@pytest.mark.parametrize(
    "path", ["/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page.html", "//etc/passwd", "/web/page.html"]
)
def test_no_path_leads_to_a_file(page: PageSink, path: str) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


def test_long_addresses_and_large_bodies_are_refused(browser: httpx.Client, steered: Steered) -> None:
    assert browser.get("/?" + "x" * 3000).status_code == 414
    assert browser.put("/api/control", content=b" " * 5000).status_code == 413
    chunks = (b" " * 1000 for _ in range(9))
    assert browser.put("/api/control", content=chunks).status_code == 413
    assert steered.asked == []


def test_streams_beyond_the_most_are_turned_away(run_state: RunState) -> None:
    hub = Hub(run_state)
    hub.watchers = 48
    with pytest.raises(HTTPException) as raised:
        page_app_module._CountedStream(hub, cast(Any, None), media_type="x")
    assert raised.value.status_code == 503


def test_a_connection_without_a_whole_request_is_closed(page: PageSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_demo.web.connections._REQUEST_S", 0.5)
    with socket.create_connection(("127.0.0.1", page.port), timeout=8) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\n")
        assert idle.recv(10) == b""


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), (None, 413)])
def test_an_answer_before_the_end_of_a_request_says_that_the_connection_closes(
    page: PageSink, steered: Steered, origin: str | None, status: int
) -> None:
    size = 5000 if origin is None else 20
    head = f"PUT /api/control HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Length: {size}\r\n"
    head += "" if origin is None else f"Origin: {origin}\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=8) as connection, connection.makefile("rb") as read:
        connection.sendall(f"{head}\r\n".encode())
        first = read.readline()
        headers = http.client.parse_headers(read)
        body = read.read(int(headers["content-length"]))
        connection.sendall(b" " * size)  # is taken, or else the connection were reset and the answer might be lost
        assert read.read() == b""
    assert int(first.split()[1]) == status
    assert headers["connection"] == "close"
    assert "error" in json.loads(body)
    assert steered.asked == []


def test_a_refused_request_that_is_all_here_leaves_the_connection_open(page: PageSink, steered: Steered) -> None:
    head = f"PUT /api/control HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Length: 10\r\n"
    refused = f"{head}Origin: http://evil.example\r\n\r\n".encode() + b'{"fps": 3}'
    with socket.create_connection(("127.0.0.1", page.port), timeout=8) as connection, connection.makefile("rb") as read:
        for request, status in ((refused, 403), (f"{head}\r\n".encode() + b'{"fps": 3}', 200)):
            connection.sendall(request)
            assert int(read.readline().split()[1]) == status
            headers = http.client.parse_headers(read)
            assert "connection" not in headers
            read.read(int(headers["content-length"]))
    assert steered.asked == [1000 / 3]


def test_health_is_that_of_the_stream(run_state: RunState, make_result: Callable[..., Result]) -> None:
    now_s = [100.0]
    page = PageSink("127.0.0.1", 0, run_state, clock=lambda: now_s[0])
    with httpx.Client(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as browser:
        answers = [browser.get("/healthz")]
        page.show(make_result())
        for now_s[0] in (101.0, 111.0):
            answers.append(browser.get("/healthz"))
    page.close()
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (503, {"status": "starting"}),
        (200, {"status": "ok"}),
        (503, {"status": "stalled"}),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/stream.mjpg", "/nowhere"])
def test_only_get_is_answered(browser: httpx.Client, method: str, path: str) -> None:
    answer = browser.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/api/state", "/healthz", "/nowhere", "/metrics"])
def test_every_answer_tells_browsers_to_keep_it_to_themselves(browser: httpx.Client, path: str) -> None:
    headers = browser.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "server" not in headers


def test_twenty_watchers_who_never_read_hold_up_nobody(
    page: PageSink, browser: httpx.Client, shower: list[float]
) -> None:
    with contextlib.ExitStack() as idle:
        for _ in range(20):
            watcher = idle.enter_context(socket.socket())
            watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            watcher.connect(("127.0.0.1", page.port))
            watcher.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with browser.stream("GET", "/stream.mjpg") as answer:
            assert len(set(jpegs(answer.iter_raw(), 15))) >= 5
        assert browser.get("/api/state").json()["answer"]["frame"] > 0
        assert sorted(shower)[len(shower) // 2] < 0.005
        start_s = time.monotonic()
        page.close()
        assert time.monotonic() - start_s < 3


def test_closing_ends_every_stream(page: PageSink, browser: httpx.Client, shower: list[float]) -> None:
    with browser.stream("GET", "/stream.mjpg") as answer:
        lines = answer.iter_raw()
        jpegs(lines, 1)
        page.close()
        with contextlib.suppress(httpx.HTTPError):
            for _ in lines:
                pass
    with pytest.raises(httpx.ConnectError):
        browser.get("/")


def test_a_port_that_is_taken_is_an_error(page: PageSink, run_state: RunState) -> None:
    with pytest.raises(SinkError) as raised:
        PageSink("127.0.0.1", page.port, run_state)
    assert str(raised.value) == (
        f"Cannot serve at 127.0.0.1:{page.port}: address already in use. "
        f"Choose another port, e.g. http://127.0.0.1:{page.port + 1}."
    )


def test_a_host_that_is_not_here_is_an_error(run_state: RunState) -> None:
    with pytest.raises(SinkError) as raised:
        PageSink("192.0.2.1", 0, run_state)
    assert str(raised.value).startswith("Cannot serve at 192.0.2.1:0: cannot assign requested address.")


def test_missing_web_libraries_are_named_with_their_remedy(
    run_state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def without_uvicorn(name: str, *others: Any) -> Any:
        if name == "camera_demo.web.server":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real_import(name, *others)

    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    with pytest.raises(SinkError) as raised:
        PageSink("127.0.0.1", 0, run_state)
    assert str(raised.value) == ("http:// needs uvicorn, which is not installed: ./install.sh --with live.")


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("", ("127.0.0.1", 8000)),
        (":8080", ("127.0.0.1", 8080)),
        ("0.0.0.0", ("0.0.0.0", 8000)),
        ("localhost:0/", ("localhost", 0)),
        ("[::1]:81", ("::1", 81)),
    ],
)
def test_host_and_port_may_each_be_left_out(place: str, address: tuple[str, int]) -> None:
    assert address_of(place) == address


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("host:port", "***"), ("host:99999", "***"), ("host/path", "host/***"), ("user@host", "***@host"),
        ("host?x=1", "host/***"), ("[::1", "***"), ("me:secret@host:81/stream", "***@host:81/***"),
        ("me:s/x@host", "***"),
    ],
)  # fmt: skip
def test_an_invalid_address_is_refused(place: str, shown: str) -> None:
    with pytest.raises(SinkError) as raised:
        address_of(place)
    assert str(raised.value) == (
        f"invalid address 'http://{shown}': expected http://HOST:PORT, with a port up to 65535, e.g. "
        "http://127.0.0.1:8000. A camera is an input: name it first."
    )


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pi", False)],
)
def test_loopback_is_distinguished_from_the_network(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_where_the_page_is_gets_announced_and_an_open_one_has_a_token(context: SinkContext) -> None:
    said: list[str] = []
    for place in ("127.0.0.1:0", "0.0.0.0:0", "0.0.0.0:0"):
        open_page(place, replace(context, announce=said.append)).close()
    assert re.fullmatch(r"The live picture is at http://127\.0\.0\.1:\d+", said[0])
    tokens = [re.fullmatch(r"The live picture is at http://[\d.]+:\d+/\?token=([\w-]{22})", said[n]) for n in (1, 3)]
    assert tokens[0] and tokens[1] and tokens[0][1] != tokens[1][1]
    assert "0.0.0.0" not in said[1]
    assert said[2] == "The network can reach it. Whoever has the address with the token sees the camera."


def test_a_token_of_one_s_own_is_used(context: SinkContext) -> None:
    said: list[str] = []
    open_page("0.0.0.0:0", replace(context, announce=said.append, token="of-my-own")).close()
    assert said[0].endswith("/?token=of-my-own")


def test_the_page_ships_with_the_package() -> None:
    root = Path(__file__).parents[3]
    assert (root / "camera_demo" / "web" / "page.html").is_file()
