"""Whether a picture looks like one that is kept already: by 12x12 cells of colour."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.images import read_image
from edge.vision.preprocess import Frame

__all__ = ["NEAR", "Looks"]

NEAR: Final = 3.0
"""Mean difference of the cells, in levels of 255, below which two pictures are the same to a network and to people."""
_CELLS: Final = 12
_FIRST: Final = 64
_LEAST_SIDE: Final = 4 * _CELLS

Look = NDArray[np.float32]


class Looks:
    """What the kept pictures look like. For one thread."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._looks: Look = np.empty((_FIRST, _CELLS * _CELLS * 3), np.float32)

    def distance(self, look: Look) -> float:
        """To the nearest picture that is kept; infinite without any."""
        count = len(self._names)
        return float(np.abs(self._looks[:count] - look).mean(1).min()) if count else float("inf")

    def add(self, name: str, look: Look) -> None:
        """Remember a picture that is kept."""
        count = len(self._names)
        if count == len(self._looks):
            self._looks = np.concatenate([self._looks, np.empty_like(self._looks)])
        self._looks[count] = look
        self._names.append(name)

    def forget(self, name: str) -> None:
        """Forget a picture that is gone."""
        if name in self._names:
            place, last = self._names.index(name), len(self._names) - 1
            self._looks[place] = self._looks[last]
            self._names[place] = self._names[last]
            self._names.pop()

    @staticmethod
    def of_file(path: Path) -> Look:
        """What the picture in a JPEG file looks like, decoded at a quarter of its size where it is large.

        Raises:
            ImageError: It cannot be read.
        """
        image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
        is_large = image is not None and min(image.shape[:2]) >= _LEAST_SIDE
        return Looks.of(np.asarray(image, np.uint8) if is_large else read_image(path))

    @staticmethod
    def of(image: Frame) -> Look:
        """What a picture looks like."""
        cells = cv2.resize(image, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        return np.asarray(cells, np.float32).reshape(-1)
