"""A source whose pictures are turned or mirrored, for cameras that hang upside down or look into a mirror."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np

from camera_demo.capture_format import Flip
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop
from edge.vision.preprocess import Frame

__all__ = ["TurnedSource", "turn"]

_ROTATIONS: Final[Mapping[str, int]] = {
    "clockwise": cv2.ROTATE_90_CLOCKWISE,
    "counterclockwise": cv2.ROTATE_90_COUNTERCLOCKWISE,
    "rotate-180": cv2.ROTATE_180,
}
_MIRRORS: Final[Mapping[str, int]] = {"horizontal": 1, "vertical": 0}


class TurnedSource:
    """Turns each frame before anybody sees it; all else is the source's own."""

    def __init__(self, source: Source, flip: Flip) -> None:
        self._source, self._flip = source, flip
        self.name, self.is_live, self.rate_hz = source.name, source.is_live, source.rate_hz

    @property
    def dropped(self) -> int:
        """As the source says."""
        return self._source.dropped

    def frames(self, stop: Stop) -> Iterator[CapturedFrame | None]:
        """The source's frames, turned.

        Raises:
            SourceError: The source broke off.
        """
        for frame in self._source.frames(stop):
            yield frame and replace(frame, image=turn(frame.image, self._flip))

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def turn(image: Frame, flip: Flip) -> Frame:
    """``image``, uint8 (height, width, 3), turned or mirrored; a quarter turn swaps height and width."""
    turned: Any = image
    if flip in _ROTATIONS:
        turned = cv2.rotate(image, _ROTATIONS[flip])
    elif flip in _MIRRORS:
        turned = cv2.flip(image, _MIRRORS[flip])
    return np.asarray(turned, np.uint8)
