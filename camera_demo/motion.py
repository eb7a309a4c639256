"""Whether a region has changed since it was last classified: cheap, and deaf to a camera's noise.

128×128 pixels of the region are averaged to 16×16 cells and compared with the cells of the picture that was classified
last. It has changed when any cell has, in any channel, by more than :data:`CHANGED_LEVELS` of 255. A cell is the mean
of 64 pixels, so noise with a standard deviation of 8 levels moves it by 1; and because the comparison is with the last
*classified* picture, slow changes add up until they count. ``docs/events.md`` has what it costs and misses.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["CHANGED_LEVELS", "Motion", "cells_of"]

CHANGED_LEVELS: Final = 8
"""Grey levels, of 255, that a cell must differ by."""
_PIXELS, _CELLS = (128, 128), (16, 16)
_REFRESH_S: Final = 5.0
"""The longest rest, so that the controller sees now and then how fast the board is."""


class Motion:
    """The change of one region. One thread classifies; another may ask :meth:`differs`."""

    def __init__(self) -> None:
        self._classified: Frame | None = None
        self._classified_s = 0.0
        self._wish: object = None

    def differs(self, cells: Frame) -> bool:
        """Whether the region differs from what was classified."""
        before = self._classified
        return before is None or cv2.norm(cells, before, cv2.NORM_INF) > CHANGED_LEVELS

    def must_classify(self, cells: Frame, now_s: float, wish: object = None) -> bool:
        """Whether the region must be classified: it differs, or that is long ago. It then counts as classified.

        Args:
            cells: What :func:`cells_of` gives.
            now_s: A clock that never jumps.
            wish: What else an answer depends on; another value than the last time asks for a new one.
        """
        is_old = now_s - self._classified_s >= _REFRESH_S or wish != self._wish
        if not is_old and not self.differs(cells):
            return False
        self._classified, self._classified_s, self._wish = cells, now_s, wish
        return True


def cells_of(image: Frame) -> Frame:
    """A picture's cells, uint8 (16, 16, 3)."""
    few = cv2.resize(image, _PIXELS, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(few, _CELLS, interpolation=cv2.INTER_AREA), np.uint8)
