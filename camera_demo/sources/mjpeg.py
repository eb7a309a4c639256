"""A camera on the network that sends JPEG pictures over HTTP without end, as an ESP32-CAM and most IP cameras do."""

from __future__ import annotations

import array
import contextlib
import fcntl
import http.client
import os
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import cv2
import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.sources.http_stream import connect
from camera_demo.sources.jpeg_splitter import JpegSplitter
from camera_demo.stop import Stop
from edge.addresses import redacted
from edge.errors import os_reason
from edge.vision.jpeg import jpeg_size
from edge.vision.preprocess import Frame

__all__ = ["MjpegSource", "opener"]

_SILENT_S: Final = 5.0
"""Silence after which a camera counts as gone."""
_NO_PICTURE_S: Final = 10.0
"""How long bytes may come without a whole picture."""
_SKIP_S: Final = 0.2
"""How long newer pictures may keep older ones from being decoded."""
_POLL_S: Final = 0.1
_CHUNK_BYTES: Final = 1 << 18
_MOST_PIXELS: Final = 50_000_000
_DAMAGED: Final = 20
"""Pictures in a row that cannot be decoded before the stream counts as broken."""


class MjpegSource:
    """An opened stream.

    Where the next picture is there already, the one before is not decoded: the newest counts.
    """

    is_live = True

    def __init__(
        self,
        address: str,
        *,
        stop: Stop | None = None,
        silent_s: float = _SILENT_S,
        no_picture_s: float = _NO_PICTURE_S,
    ) -> None:
        """Connect and wait for the first picture.

        Args:
            address: Where the stream is, with user and password if it needs them (Basic or Digest).
            stop: Ends the waiting when requested.
            silent_s: Silence after which the camera counts as gone.
            no_picture_s: How long bytes may come without a whole picture.

        Raises:
            SourceError: Nobody answers, access is refused, or what comes is no stream of JPEG pictures.
        """
        self.name, self.dropped, self.rate_hz = redacted(address), 0, None
        self._silent_s, self._no_picture_s = silent_s, no_picture_s
        self._splitter = JpegSplitter()
        self._answer = connect(address, silent_s)
        self._line = socket.socket(fileno=os.dup(self._answer.fileno()))  # which outlives the end of the answer
        try:
            with _hung_up_at(stop := stop or Stop(), self._line):
                self._first: tuple[Frame, float] | None = self._picture(stop)
        except SourceError as reason:
            self.close()
            raise SourceError(f"{self.name} gives no picture: {reason}.") from reason

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The newest picture each time, stamped with its arrival.

        Raises:
            SourceError: The camera hung up or fell silent, or sends nothing that can be decoded.
        """
        index, start_s, found = 0, time.monotonic(), self._first
        self._first = None
        try:
            with _hung_up_at(stop, self._line):
                while found is not None:
                    image, now_s = found
                    position_s = max(0.0, now_s - start_s)
                    yield CapturedFrame(image=image, index=index, captured_at_s=now_s, position_s=position_s)
                    found, index = self._picture(stop), index + 1
        except SourceError as reason:
            raise SourceError(f"{self.name} broke off after {index + 1} frames: {reason}.") from reason

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._line.close()

    def _picture(self, stop: Stop) -> tuple[Frame, float] | None:
        """The newest picture and when it was whole; None when asked to stop.

        Raises:
            SourceError: There is none; the message is a part of a sentence.
        """
        start_s, newest, damaged = time.monotonic(), None, 0
        while not stop.is_requested:
            is_over = False
            try:
                pictures = self._more()
            except SourceError:
                if newest is None and not stop.is_requested:
                    raise
                pictures, is_over = [], True
            now_s = time.monotonic()
            newest = pictures[-1] if pictures else newest
            if newest is not None and (is_over or now_s - start_s >= _SKIP_S or self._waiting_bytes() < len(newest)):
                image = _decoded(newest)
                if image is not None:
                    return image, now_s
                newest, damaged = None, damaged + 1
            if damaged >= _DAMAGED or now_s - start_s > self._no_picture_s:
                raise SourceError(f"no picture that can be decoded came in {now_s - start_s:.0f} s")
        return None

    def _more(self) -> list[bytes]:
        try:
            data = self._answer.read1(_CHUNK_BYTES)
            if not data:
                raise SourceError("the camera hung up")
            return self._splitter.feed(data)
        except TimeoutError:
            raise SourceError(f"nothing came for {self._silent_s:g} s") from None
        except SourceError:
            raise
        except OSError as reason:
            raise SourceError(os_reason(reason)) from reason
        except http.client.HTTPException:
            raise SourceError("the camera hung up") from None
        except ValueError as reason:
            raise SourceError(f"{reason} came") from reason

    def _waiting_bytes(self) -> int:
        """How much has come already: as much as a picture has is most likely a newer one, less is not worth a wait."""
        count = array.array("i", [0])
        fcntl.ioctl(self._line, termios.FIONREAD, count)
        return count[0]


@contextlib.contextmanager
def _hung_up_at(stop: Stop, line: socket.socket) -> Iterator[None]:
    """Hang up when ``stop`` is requested while the block runs, so that no read goes on waiting."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_POLL_S):
            if stop.is_requested:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                return

    thread = threading.Thread(target=watch, name="hang up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that connects to the address ``place``; the stream's form is the camera's own.

    It raises :class:`SourceError` when nobody answers, access is refused, or there is no stream of pictures.
    """
    return lambda stop: MjpegSource(place, stop=stop)


def _decoded(picture: bytes) -> Frame | None:
    """A picture as a frame; None if it is damaged or absurdly large."""
    size = jpeg_size(picture)
    if size is None or not 0 < size[0] * size[1] <= _MOST_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
