"""A moving picture made of arithmetic: for trying everything without a camera or a file."""

from __future__ import annotations

import math
import re
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
from edge.vision.preprocess import Frame

__all__ = ["SyntheticSource", "opener"]

_OPTIONS = re.compile(r"(?:(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?")
_SIDES: Final = (16, 4096)
_RATES_HZ: Final = (0.1, 1000.0)
_LAP_FRAMES: Final = 120


class SyntheticSource:
    """A disc that circles before a colour gradient and whose brightness swells; without end, always the same."""

    is_live = False

    def __init__(self, width: int = 640, height: int = 480, rate_hz: float = 30.0) -> None:
        self.name, self.rate_hz, self.dropped = f"synthetic:{width}x{height}@{rate_hz:g}", rate_hz, 0
        self._size = width, height
        self._background = _gradient(width, height)

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """One frame after the other, as fast as they are taken."""
        index = 0
        while not stop.is_requested:
            image = self.picture(index)
            now_s, position_s = time.monotonic(), index / self.rate_hz
            yield CapturedFrame(image=image, index=index, captured_at_s=now_s, position_s=position_s)
            index += 1

    def picture(self, index: int) -> Frame:
        """The frame of number ``index``, uint8 (height, width, 3) BGR."""
        width, height = self._size
        angle = 2 * math.pi * index / _LAP_FRAMES
        centre = round(width * (0.5 + 0.25 * math.cos(angle))), round(height * (0.5 + 0.25 * math.sin(angle)))
        level = round(127.5 - 127.5 * math.cos(angle))
        image: Frame = self._background.copy()
        cv2.circle(image, centre, max(2, min(width, height) // 3), (level, level, level), thickness=-1)
        return image

    def close(self) -> None:
        """Nothing is held."""


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the moving picture with options ``WIDTHxHEIGHT@RATE``, each of which may be left out.

    Raises:
        SourceError: The options have another form, or lie outside their limits.
    """
    match = _OPTIONS.fullmatch(place)
    width, height, rate = match.groups() if match else ("0", "0", "0")
    width_px, height_px, rate_hz = int(width or 640), int(height or 480), float(rate or 30)
    sides_fit = all(_SIDES[0] <= side <= _SIDES[1] for side in (width_px, height_px))
    if not sides_fit or not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
        raise SourceError(
            f"'synthetic:{place}' makes no picture: expected synthetic:WIDTHxHEIGHT@RATE, e.g. synthetic:640x480@30, "
            f"with sides of {_SIDES[0]} to {_SIDES[1]} pixels and {_RATES_HZ[0]:g} to {_RATES_HZ[1]:g} frames a second."
        )
    return lambda stop: SyntheticSource(width_px, height_px, rate_hz)


def _gradient(width: int, height: int) -> Frame:
    blue = np.linspace(0, 160, width, dtype=np.uint8)[None, :].repeat(height, axis=0)
    green = np.linspace(0, 160, height, dtype=np.uint8)[:, None].repeat(width, axis=1)
    return np.dstack((blue, green, np.full_like(blue, 80)))
