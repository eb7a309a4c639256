import builtins
import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from camera_demo.frames import Shown
from camera_demo.sinks import SinkContext
from camera_demo.sinks.page import PageSink, address_of, is_loopback
from camera_demo.sinks.page import open_sink as open_page
from edge.errors import SinkError


@pytest.fixture
def page() -> Iterator[PageSink]:
    sink = PageSink("127.0.0.1", 0)
    yield sink
    sink.close()


@pytest.fixture
def browser(page: PageSink) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{page.port}", timeout=5, trust_env=False) as client:
        yield client


@pytest.fixture
def live(page: PageSink, make_shown: Callable[..., Shown]) -> Iterator[list[float]]:
    """Shows an answer each 10 ms while the test runs, and keeps what each took, in seconds.

    Its pictures are noise, some 250 kB each as JPEG: no buffer of the system holds many.
    """
    stop, took_s = threading.Event(), list[float]()
    noise = np.random.default_rng(0).integers(0, 256, (8, 480, 640, 3), np.uint8)

    def run() -> None:
        index = 0
        while not stop.wait(0.01):
            picture = noise[index % 8].copy() if page.wants_picture else None
            start_s = time.perf_counter()
            page.show(make_shown(index, picture=picture))
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


def test_the_stream_gives_one_picture_after_the_other(page: PageSink, browser: httpx.Client, live: list[float]) -> None:
    with browser.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        found = jpegs(answer.iter_raw(), 3)
    assert len(set(found)) == 3
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in found]
    assert [picture is not None and picture.shape for picture in decoded] == [(480, 640, 3)] * 3


def test_a_picture_is_wanted_only_while_somebody_watches(
    page: PageSink, browser: httpx.Client, live: list[float]
) -> None:
    assert not page.wants_picture
    browser.get("/state")
    assert not page.wants_picture
    with browser.stream("GET", "/stream.mjpg") as answer:
        parts = answer.iter_raw()
        jpegs(parts, 1)
        assert page.wants_picture
    end_s = time.monotonic() + 5
    while page.wants_picture and time.monotonic() < end_s:
        time.sleep(0.01)
    assert not page.wants_picture


def test_the_page_stands_alone(browser: httpx.Client) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for needed in ("/stream.mjpg", "/events", "<script>", "<style>"):
        assert needed in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_state_and_events_are_the_answer_as_json(
    page: PageSink, browser: httpx.Client, make_shown: Callable[..., Shown]
) -> None:
    assert browser.get("/state").json() == {}
    page.show(make_shown(7))
    assert browser.get("/state").json() == make_shown(7).to_dict()
    with browser.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["frame"] == 7
        page.show(make_shown(8))
        assert next(lines) == ""
        assert json.loads(next(lines).removeprefix("data: "))["frame"] == 8


def test_health_is_that_of_the_stream(make_shown: Callable[..., Shown]) -> None:
    now_s = [100.0]
    page = PageSink("127.0.0.1", 0, clock=lambda: now_s[0])
    with httpx.Client(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as browser:
        answers = [browser.get("/healthz")]
        page.show(make_shown())
        for now_s[0] in (101.0, 111.0):
            answers.append(browser.get("/healthz"))
    page.close()
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (503, {"status": "starting"}),
        (200, {"status": "ok", "age_s": 1.0}),
        (503, {"status": "stalled", "age_s": 11.0}),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/stream.mjpg", "/nowhere"])
def test_only_get_is_answered(browser: httpx.Client, method: str, path: str) -> None:
    answer = browser.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/state", "/healthz", "/nowhere"])
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
    page: PageSink, browser: httpx.Client, live: list[float]
) -> None:
    with contextlib.ExitStack() as idle:
        for _ in range(20):
            watcher = idle.enter_context(socket.socket())
            watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            watcher.connect(("127.0.0.1", page.port))
            watcher.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with browser.stream("GET", "/stream.mjpg") as answer:
            assert len(set(jpegs(answer.iter_raw(), 30))) == 8
        assert browser.get("/state").json()["frame"] > 0
        assert sorted(live)[len(live) // 2] < 0.005
        start_s = time.monotonic()
        page.close()
        assert time.monotonic() - start_s < 3


def test_closing_ends_every_stream(page: PageSink, browser: httpx.Client, live: list[float]) -> None:
    with browser.stream("GET", "/stream.mjpg") as answer:
        lines = answer.iter_raw()
        jpegs(lines, 1)
        page.close()
        with contextlib.suppress(httpx.HTTPError):
            for _ in lines:
                pass
    with pytest.raises(httpx.ConnectError):
        browser.get("/")


def test_a_port_that_is_taken_is_an_error(page: PageSink) -> None:
    with pytest.raises(SinkError) as raised:
        PageSink("127.0.0.1", page.port)
    assert str(raised.value) == (
        f"Cannot serve at 127.0.0.1:{page.port}: address already in use. "
        "Choose another port, e.g. http://127.0.0.1:8080."
    )


def test_a_host_that_is_not_here_is_an_error() -> None:
    with pytest.raises(SinkError) as raised:
        PageSink("192.0.2.1", 0)
    assert str(raised.value).startswith("Cannot serve at 192.0.2.1:0: cannot assign requested address.")


def test_missing_web_libraries_are_named_with_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_uvicorn(name: str, *others: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real_import(name, *others)

    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    with pytest.raises(SinkError) as raised:
        PageSink("127.0.0.1", 0)
    assert str(raised.value) == ("http:// needs uvicorn, which is not installed: pip install 'mobilenet-edge[live]'.")


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


@pytest.mark.parametrize("place", ["host:port", "host:99999", "host/path", "user@host", "host?x=1", "[::1"])
def test_an_address_that_makes_no_sense_is_refused(place: str) -> None:
    with pytest.raises(SinkError) as raised:
        address_of(place)
    assert str(raised.value) == (
        f"'http://{place}' is no address to serve at: expected http://HOST:PORT, e.g. http://127.0.0.1:8000."
    )


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pi", False)],
)
def test_loopback_is_told_from_the_network(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_where_the_page_is_gets_announced_and_an_open_one_is_warned_of() -> None:
    said: list[str] = []
    context = SinkContext(rate_hz=None, text=io.StringIO(), announce=said.append)
    closed = open_page("127.0.0.1:0", context)
    open_to_all = open_page("0.0.0.0:0", context)
    closed.close()
    open_to_all.close()
    assert said == [
        f"The live picture is at http://127.0.0.1:{closed.port}",
        f"The live picture is at http://0.0.0.0:{open_to_all.port}",
        "WARNING: 0.0.0.0 is open to the network: everybody who reaches this machine sees the camera, "
        f"without a password. Only for this machine: http://127.0.0.1:{open_to_all.port}",
    ]


def test_the_page_ships_with_the_package() -> None:
    root = Path(__file__).parents[3]
    assert (root / "camera_demo" / "static" / "page.html").is_file()
