"""A camera of Linux: USB webcams, and whatever else shows as ``/dev/videoN``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from camera_demo.frames import CapturedFrame
from camera_demo.sources.v4l2 import explain_camera
from camera_demo.stop import Stop
from edge.errors import SourceError
from edge.preprocess import Frame

__all__ = ["CameraSource", "open_source"]

_SIZE: Final = (640, 480)
_FIRST_FRAME_S: Final = 5.0
_GIVE_UP_S: Final = 10.0
_RETRY_S: Final = 0.1
_QUEUED_FRAMES: Final = 4
"""What the driver may hold from before; OpenCV asks for so many buffers."""


class CameraSource:
    """An opened camera. Reads block: run it behind :class:`camera_demo.sources.latest.LatestFrames`."""

    is_live = True

    def __init__(
        self,
        path: str,
        *,
        capture: Callable[[str, int], cv2.VideoCapture] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a camera and wait for its first picture.

        Webcams offer few frames a second unless asked for MJPG; a camera without it keeps what it has.

        Raises:
            SourceError: It is absent, busy, forbidden or gives no picture; the message tells them apart.
        """
        self.name, self.dropped = path, 0
        self._clock = clock
        self._capture = capture(path, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise SourceError(explain_camera(path))
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, _SIZE[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, _SIZE[1])
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz if 0 < rate_hz <= 1000 else None
        self._await_first_picture()

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame the camera gives, from now on.

        Raises:
            SourceError: It was unplugged, or gave nothing for ten seconds.
        """
        for _ in range(_QUEUED_FRAMES):
            self._capture.grab()
        index, start_s = 0, self._clock()
        last_s = start_s
        while not stop.is_requested:
            image = self._read()
            now_s = self._clock()
            if image is None:
                self._check_alive(index, now_s - last_s)
                stop.sleep(_RETRY_S)
                continue
            last_s = now_s
            yield CapturedFrame(image=image, index=index, captured_at_s=now_s, position_s=now_s - start_s)
            index += 1

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()

    def _await_first_picture(self) -> None:
        end_s = self._clock() + _FIRST_FRAME_S
        while self._read() is None:
            if self._clock() >= end_s:
                self.close()
                raise SourceError(explain_camera(self.name))
            time.sleep(_RETRY_S)

    def _read(self) -> Frame | None:
        is_read, image = self._capture.read()
        return np.asarray(image, np.uint8) if is_read else None

    def _check_alive(self, index: int, silent_s: float) -> None:
        if not Path(self.name).exists():
            raise SourceError(f"Camera {self.name} was unplugged after {index} frames. Plug it in and start again.")
        if silent_s > _GIVE_UP_S:
            raise SourceError(f"Camera {self.name} gave no frame for {_GIVE_UP_S:.0f} s, after {index} frames.")


def open_source(place: str) -> CameraSource:
    """Open the camera at the node ``place``.

    Raises:
        SourceError: It is absent, busy, forbidden or gives no picture.
    """
    return CameraSource(place)
