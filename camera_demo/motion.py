"""Whether a region has changed since it was last classified: cheap, and deaf to a camera's noise.

The picture that the network would get, ρ×ρ pixels, is shrunk further to 16×16 cells by averaging, and compared with the
cells of the picture that was classified last. It has changed when any cell has, in any channel, by more than
:data:`CHANGED_LEVELS` of 255. A cell is the mean of 64 pixels or more, so noise with a standard deviation of 8 levels
moves it by 1; and because the comparison is with the last *classified* picture, slow changes add up until they count.
``docs/events.md`` has what it costs and misses.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["CHANGED_LEVELS", "Motion"]

CHANGED_LEVELS: Final = 8
"""Grey levels, of 255, that a cell must differ by."""
_CELLS: Final = 16
_REFRESH_S: Final = 2.0
"""The longest rest, so that a variant that was pinned takes over, and the controller sees how fast the board is."""


class Motion:
    """The change of one region. For one thread."""

    def __init__(self) -> None:
        self._classified: Frame | None = None
        self._classified_s = 0.0

    def must_classify(self, pixels: Frame, now_s: float) -> bool:
        """Whether the region differs from what was classified, or that is too long ago; it then counts as classified.

        Args:
            pixels: The picture for the network before normalization, uint8 (ρ, ρ, channels).
            now_s: A clock that never jumps.
        """
        cells, before = _cells(pixels), self._classified
        if before is not None and before.shape == cells.shape and now_s - self._classified_s < _REFRESH_S:
            difference = np.asarray(cv2.absdiff(cells, before))
            if int(difference.max()) <= CHANGED_LEVELS:
                return False
        self._classified, self._classified_s = cells, now_s
        return True


def _cells(pixels: Frame) -> Frame:
    return np.asarray(cv2.resize(pixels, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA), np.uint8)
