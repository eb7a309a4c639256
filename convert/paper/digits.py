"""Digits on noise: scikit-learn's handwriting, small, anywhere, and badly seen, so that cost buys accuracy.

The handwriting: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", which ``load_digits`` carries: 1797
pictures of 8x8. Those that are learned from and those that are measured on are different ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.errors import TrainingError
from edge.parts import failed_import
from edge.vision.preprocess import Frame

__all__ = ["Digits"]

_SIDE: Final = 96
"""Of a picture."""
_SMALLEST, _LARGEST = 72, 92
"""Side of a digit."""
_NOISE: Final = 30.0
_LEARNED: Final = 1200
"""Digits to learn from; the others are measured on."""


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """An endless sequence of pictures, each drawn from its number."""

    pictures: NDArray[np.float32]
    """(count, 8, 8), ink from 0 to 1."""
    labels: NDArray[np.int64]
    seed: int
    classes: int = 10

    @classmethod
    def load(cls, seed: int = 0) -> tuple[Digits, Digits]:
        """Those to learn from, and those to measure on.

        Raises:
            TrainingError: scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError as reason:
            raise TrainingError(failed_import(reason, "The paper's experiment on digits")) from reason
        pictures, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(labels))
        ink, known = pictures.reshape(-1, 8, 8)[order].astype(np.float32) / 16, labels[order].astype(np.int64)
        return cls(ink[:_LEARNED], known[:_LEARNED], 2 * seed), cls(ink[_LEARNED:], known[_LEARNED:], 1)

    def example(self, number: int) -> tuple[Frame, int]:
        """Picture ``number``, uint8 (96, 96, 3), and its digit."""
        draw = np.random.default_rng((self.seed, number))
        chosen = int(draw.integers(len(self.labels)))
        side = int(draw.integers(_SMALLEST, _LARGEST + 1))
        top, left = draw.integers(0, _SIDE - side + 1, 2)
        noise = draw.standard_normal((_SIDE, _SIDE, 3), np.float32)
        picture = _NOISE * noise + draw.uniform(60, 120, 3).astype(np.float32)
        digit = cv2.resize(self.pictures[chosen], (side, side), interpolation=cv2.INTER_CUBIC)
        picture[top : top + side, left : left + side] += np.float32(draw.uniform(60, 130)) * digit[:, :, None]
        return np.clip(picture, 0, 255).astype(np.uint8), int(self.labels[chosen])
