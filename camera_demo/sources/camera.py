"""A camera of Linux: USB webcams, and whatever else shows as ``/dev/videoN``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.sources.camera_identity import CameraTrail
from camera_demo.sources.v4l2 import explain_camera
from camera_demo.stop import Stop
from edge.vision.preprocess import Frame

__all__ = ["CameraSource", "opener"]

_log = logging.getLogger(__name__)
_FIRST_FRAME_S: Final = 5.0
_FROZEN_S: Final = 2.0
"""Silence after which a camera that is still there is reopened. A read blocks one second, see ``prepare_opencv``."""
_BLOCKED_S: Final = 0.5
"""A read that fails sooner than this did not wait for a picture: the driver refuses."""
_REFUSALS: Final = 3
_RETRY_S: Final = 0.05
_LONGEST_LAG_S: Final = 5.0
_RATE_SLACK: Final = 0.02


class CameraSource:
    """An opened camera. Reads block: run it behind :class:`camera_demo.sources.prefetch.BackgroundSource`."""

    is_live = True

    def __init__(
        self,
        path: str,
        capture_format: CaptureFormat = CaptureFormat(),
        *,
        stop: Stop | None = None,
        capture: Callable[[str, int], cv2.VideoCapture] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a camera and wait for its first picture.

        Args:
            path: Its node.
            capture_format: What to ask of it. It gives what it can, which is said where it is something else.
            stop: Ends the waiting when requested.
            capture: OpenCV's capture.
            clock: The clock that stamps frames; the kernel stamps with the monotonic one.

        Raises:
            SourceError: It is absent, busy, forbidden or gives no picture; the message tells them apart.
        """
        self.name, self.dropped = path, 0
        self._clock = clock
        self._capture = capture(path, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise SourceError(explain_camera(path))
        _ask(self._capture, capture_format)
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz if 0 < rate_hz <= 1000 else None
        self.departure = _departure(path, self._capture, capture_format)
        """In what the camera's own form, read back from it, differs from the one asked for; empty if it does not."""
        self._await_first_picture(stop or Stop())

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame the camera gives, from now on.

        Raises:
            SourceError: It was unplugged, froze, or refuses to go on.
        """
        index, refusals, start_s = 0, 0, self._clock()
        last_s = start_s
        while not stop.is_requested:
            asked_s = self._clock()
            image = self._read()
            now_s = self._clock()
            if image is not None:
                stamp_s = self._stamp_s(now_s)
                yield CapturedFrame(image=image, index=index, captured_at_s=stamp_s, position_s=now_s - start_s)
                index, refusals, last_s = index + 1, 0, self._clock()
                continue
            refusals += now_s - asked_s < _BLOCKED_S
            self._check_alive(index, now_s - last_s, refusals)
            stop.sleep(_RETRY_S)

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()

    def _await_first_picture(self, stop: Stop) -> None:
        end_s = self._clock() + _FIRST_FRAME_S
        while self._read() is None:
            if self._clock() >= end_s or stop.is_requested or not Path(self.name).exists():
                self.close()
                raise SourceError(explain_camera(self.name))
            stop.sleep(_RETRY_S)

    def _read(self) -> Frame | None:
        try:
            is_read, image = self._capture.read()
        except cv2.error:  # of a picture that cannot be decoded, as one cut short on its way
            return None
        return np.asarray(image, np.uint8) if is_read else None

    def _stamp_s(self, now_s: float) -> float:
        """When the kernel says the last picture was taken; now, where it does not say or uses another clock."""
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        return stamp_s if 0 <= now_s - stamp_s < _LONGEST_LAG_S else now_s

    def _check_alive(self, index: int, silent_s: float, refusals: int) -> None:
        if not Path(self.name).exists():
            raise SourceError(f"Camera {self.name} was unplugged after {index} frames. Plug it in again.")
        if refusals >= _REFUSALS:
            raise SourceError(f"Camera {self.name} refuses to go on after {index} frames (input/output error).")
        if silent_s > _FROZEN_S:
            raise SourceError(f"Camera {self.name} is frozen: no frame for {silent_s:.1f} s, after {index} frames.")


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the camera at the node ``place``, and finds it again wherever it comes back.

    It raises :class:`SourceError` when the camera is absent, busy, forbidden or gives no picture.
    """
    trail, said = CameraTrail(place), ""

    def open_camera(stop: Stop) -> CameraSource:
        nonlocal said
        source = CameraSource(trail.node(), capture_format, stop=stop)
        trail.seen(source.name)
        if source.departure != said:
            said = source.departure
            _log.warning("%s", said)
        return source

    return open_camera


def _ask(capture: cv2.VideoCapture, capture_format: CaptureFormat) -> None:
    """Ask for a form. The answers say nothing: OpenCV claims success where the driver does something else."""
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*capture_format.codec))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, capture_format.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, capture_format.height)
    if capture_format.rate_hz is not None:
        capture.set(cv2.CAP_PROP_FPS, capture_format.rate_hz)


def _departure(path: str, capture: cv2.VideoCapture, capture_format: CaptureFormat) -> str:
    width, height = (round(capture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    codec, rate_hz = _letters(int(capture.get(cv2.CAP_PROP_FOURCC))), capture.get(cv2.CAP_PROP_FPS)
    wrong = []
    if (width, height) != (capture_format.width, capture_format.height):
        wrong.append(f"{width}x{height} instead of {capture_format.width}x{capture_format.height}")
    if codec != capture_format.codec:
        wrong.append(f"{codec} instead of {capture_format.codec}")
    if (
        capture_format.rate_hz is not None
        and abs(rate_hz - capture_format.rate_hz) > _RATE_SLACK * capture_format.rate_hz
    ):
        wrong.append(f"{rate_hz:g} fps instead of {capture_format.rate_hz:g}")
    return f"Camera {path} gives {', '.join(wrong)}" if wrong else ""


def _letters(code: int) -> str:
    """A codec's four letters."""
    letters = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
    return "".join(c if c.isprintable() else "?" for c in letters).strip() or "an unknown form"
