"""A camera on the network, over RTSP."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

import cv2
import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop
from edge.addresses import ENCODING_HINT, Address, redacted, split_address
from edge.errors import os_reason

__all__ = ["StreamSource", "explain_stream", "opener"]

_PORTS: Final = {"rtsp": 554, "rtsps": 322}
_OPEN_MS: Final = 5000
_READ_MS: Final = 3000
_ANSWER_S: Final = 2.0
_ANSWER_BYTES: Final = 512


class StreamSource:
    """An opened stream. Reads block for up to three seconds."""

    is_live = True

    def __init__(
        self,
        address: str,
        *,
        capture: Callable[..., cv2.VideoCapture] = cv2.VideoCapture,
    ) -> None:
        """Connect, over TCP, and wait for the first picture.

        Raises:
            SourceError: Nobody answers, access is refused, or there is no picture.
        """
        self.name, self.dropped = redacted(address), 0
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_MS]
        self._capture = capture(address, cv2.CAP_FFMPEG, timeouts)
        if not self._capture.isOpened() or not self._capture.grab():
            self.close()
            raise SourceError(explain_stream(address))
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz if 0 < rate_hz <= 1000 else None

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame, stamped with its arrival: cameras' own clocks are not ours.

        Raises:
            SourceError: Nothing came for three seconds, or the camera hung up.
        """
        index, start_s = 0, time.monotonic()
        last_s = start_s
        while not stop.is_requested:
            is_read, image = self._capture.read()
            now_s = time.monotonic()
            if not is_read:
                silent_s = now_s - last_s
                raise SourceError(f"{self.name} broke off after {index} frames: nothing came for {silent_s:.1f} s.")
            picture = np.asarray(image, np.uint8)
            yield CapturedFrame(image=picture, index=index, captured_at_s=now_s, position_s=now_s - start_s)
            index, last_s = index + 1, time.monotonic()

    def close(self) -> None:
        """Hang up."""
        self._capture.release()


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that connects to the address ``place``; the stream's form is the camera's own.

    It raises :class:`SourceError` when nobody answers, access is refused, or there is no picture.
    """
    return lambda stop: StreamSource(place)


def explain_stream(address: str, timeout_s: float = _ANSWER_S) -> str:
    """Why a stream does not open: asks the server by hand, as FFmpeg's reasons do not reach us. One line."""
    name, parts = redacted(address), split_address(address)
    try:
        status = _describe(parts, timeout_s)
    except TimeoutError:
        return f"{name} does not answer within {timeout_s:g} s. Is the camera on, and on this network?"
    except OSError as reason:
        return f"{name} cannot be reached: {os_reason(reason)}. Check the address and that the camera is on."
    match status:
        case 401 | 403 if parts.user is None:
            return f"{name} refuses access ({status}): give user and password, as in rtsp://USER:PASSWORD@HOST/PATH."
        case 401 | 403:
            return (
                f"{name} needs a login ({status}) and gives no picture with the one in the address: check user and "
                f"password. {ENCODING_HINT}."
            )
        case 404 | 454:
            return f"{name} is not there ({status}): the camera answers, but has no such path. Its manual names them."
        case 200 | None:
            return f"{name} gives no picture: it answers, but no video of a form that OpenCV knows came in time."
        case _:
            return f"{name} refuses the stream: it answers with RTSP status {status}."


def _describe(parts: Address, timeout_s: float) -> int | None:
    """The status that the server answers with when it is asked to describe the stream; None if it is none."""
    bare = f"{parts.scheme}://{parts.host_and_port}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    with socket.create_connection((parts.host, parts.port or _PORTS[parts.scheme]), timeout_s) as connection:
        if parts.scheme != "rtsp":
            return None
        connection.sendall(f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        answer = connection.recv(_ANSWER_BYTES).split(maxsplit=2)
    return int(answer[1]) if len(answer) > 1 and answer[0].startswith(b"RTSP/") and answer[1].isdigit() else None
