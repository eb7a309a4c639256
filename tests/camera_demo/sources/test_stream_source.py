"""Cameras on the network: a real RTSP server where there is one, and sockets that answer badly."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camera_demo.errors import SourceError
from camera_demo.source_status import SourceStatus
from camera_demo.sources import open_source
from camera_demo.sources.stream import StreamSource, explain_stream
from camera_demo.stop import Stop
from camera_demo.uri import parse_source

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
NEWLINE = b"\r\n"


class Server:
    """The RTSP server on one port, which can be started again and again."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "serving\n":
            pytest.skip("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip("no system Python to run an RTSP server")
    made = Server()
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(90)
def test_a_stream_that_breaks_off_goes_on_when_its_camera_is_back(server: Server) -> None:
    source_status = SourceStatus(server.address)
    source = open_source(parse_source(server.address), source_status)
    frames = source.frames(Stop())
    try:
        first = next(frame for frame in frames if frame is not None)
        assert first.image.shape == (240, 320, 3)
        server.stop()
        deadline_s = time.monotonic() + 20
        while source_status.now.state == "live" and time.monotonic() < deadline_s:
            next(frames)
        assert source_status.now.state == "lost"
        server.start()
        while source_status.now.state == "lost" and time.monotonic() < deadline_s + 20:
            next(frames)
        again = next(frame for frame in frames if frame is not None and frame.index > first.index)
        assert (source_status.now.state, source_status.now.losses) == ("live", 1)
        assert again.position_s > first.position_s
    finally:
        source.close()


def test_a_path_that_the_camera_does_not_have_is_told(server: Server) -> None:
    with pytest.raises(SourceError, match=r"/\*\*\* is not there \(404\): the camera answers, but has no such path"):
        StreamSource(f"rtsp://127.0.0.1:{server.port}/nope")


@pytest.fixture
def answering() -> Iterator[Any]:
    """Listens, and answers each connection with bytes of your choice; None for silence."""
    stop, listeners = threading.Event(), list[socket.socket]()

    def serve(answer: bytes | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if answer is None:
                        stop.wait(3)
                    else:
                        connection.recv(1000)
                        connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield serve
    stop.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "needs a login (401) and gives no picture with the one in the address:"),
        (b"RTSP/1.0 454 Session Not Found\r\n\r\n", "is not there (454): the camera answers, but has no such path."),
        (b"RTSP/1.0 503 Service Unavailable\r\n\r\n", "refuses the stream: it answers with RTSP status 503."),
        (b"RTSP/1.0 200 OK\r\n\r\n", "gives no picture: it answers, but no video of a form that OpenCV knows"),
        (b"SSH-2.0-OpenSSH\r\n", "gives no picture: it answers, but"),
        (b"", "gives no picture: it answers, but"),
        (None, "does not answer within 0.3 s. Is the camera on, and on this network?"),
    ],
)
def test_each_answer_has_its_own_words(answering: Any, answer: bytes | None, told: str) -> None:
    port = answering(answer)
    message = explain_stream(f"rtsp://me:secret@127.0.0.1:{port}/live", timeout_s=0.3)
    assert message.startswith(f"rtsp://***@127.0.0.1:{port}/*** {told}")


def test_who_gave_no_login_is_told_how(answering: Any) -> None:
    message = explain_stream(f"rtsp://127.0.0.1:{answering(b'RTSP/1.0 401 Unauthorized' + 2 * NEWLINE)}/live")
    assert message.endswith("/*** refuses access (401): give user and password, as in rtsp://USER:PASSWORD@HOST/PATH.")


def test_a_host_that_is_not_there_is_told() -> None:
    assert explain_stream("rtsp://nowhere.invalid/x") == (
        "rtsp://nowhere.invalid/*** cannot be reached: there is no host of this name. Check the address and that the "
        "camera is on."
    )


class FakeCapture:
    """FFmpeg's capture of a stream that gives two pictures and then nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self._left = arguments, 2

    def isOpened(self) -> bool:
        return True

    def grab(self) -> bool:
        return True

    def get(self, name: int) -> float:
        return 25.0

    def read(self) -> tuple[bool, Any]:
        self._left -= 1
        return self._left >= 0, np.zeros((4, 4, 3), np.uint8)

    def release(self) -> None:
        """Nothing is held."""


def test_a_stream_that_falls_silent_breaks_off_and_names_no_password() -> None:
    source = StreamSource("rtsp://me:secret@cam/live", capture=FakeCapture)  # type: ignore[arg-type]
    with pytest.raises(SourceError) as raised:
        list(source.frames(Stop()))
    assert str(raised.value).startswith("rtsp://***@cam/*** broke off after 2 frames: nothing came for ")
