"""The pictures a network learns from: drawn all the time, each met a few times.

Drawing a picture costs about as much as learning from it. So a pool holds the latest pictures; every batch adds a few
new ones and meets the others again, moved and coloured a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.preprocess import Frame, Preprocessing, Preprocessor
from edge.tensor import TensorSpec
from scripts.demo.cards import LABELS, NO_CARD, draw_labelled
from scripts.demo.ink import Handwriting

__all__ = ["PREPROCESSING", "Pool", "inputs"]

PREPROCESSING: Final = Preprocessing(resize="halving")
"""How pictures enter the network, in training as on the device."""


class Pool:
    """The latest pictures drawn, each with its label."""

    def __init__(self, rng: np.random.Generator, handwriting: Handwriting, size: int, side: int = 256) -> None:
        self._rng, self._handwriting, self._size, self.side = rng, handwriting, size, side
        self._pictures: list[Frame] = []
        self._labels = np.empty(size, np.int64)
        self.drawn = 0

    def drawn_at(self, side: int) -> Pool:
        """This pool, or an empty one like it if its pictures have another height and width than ``side`` pixels."""
        return self if side == self.side else Pool(self._rng, self._handwriting, self._size, side)

    def renew(self, count: int, hardness: float = 1.0) -> None:
        """Draw ``count`` pictures, classes in turn, "no card" twice; the oldest give way once the pool is full."""
        for _ in range(count):
            label = min(self.drawn % (len(LABELS) + 1), NO_CARD)
            picture = draw_labelled(self._rng, self._handwriting, label, self.side, hardness=hardness)
            slot = self.drawn % self._size
            self._pictures[slot : slot + 1] = [picture]
            self._labels[slot] = label
            self.drawn += 1

    def batch(self, count: int) -> tuple[list[Frame], NDArray[np.int64]]:
        """``count`` pictures, slightly moved and recoloured, and their labels, int64 (count,)."""
        slots = self._rng.integers(len(self._pictures), size=count)
        return [_varied(self._rng, self._pictures[slot]) for slot in slots], self._labels[slots]


def inputs(frames: Sequence[Frame], resolution: int) -> Tensor:
    """What the network sees of ``frames``: float32 (count, 3, resolution, resolution), channels last in memory."""
    spec = TensorSpec(shape=(1, resolution, resolution, 3), dtype="uint8")
    preprocessor = Preprocessor(PREPROCESSING, spec)
    pixels = np.stack([preprocessor.pixels(frame) for frame in frames])
    return torch.from_numpy(PREPROCESSING.real(pixels)).permute(0, 3, 1, 2)


def _varied(rng: np.random.Generator, frame: Frame) -> Frame:
    """``frame`` turned, scaled and moved a little, and its colours scaled."""
    side = frame.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-6, 6), rng.uniform(0.92, 1.08))
    matrix[:, 2] += rng.uniform(-0.04, 0.04, 2) * side
    moved = cv2.warpAffine(frame, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    gain = np.exp(rng.normal(0, 0.08)) * rng.normal(1, 0.03, 3)
    table = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(moved, table), np.uint8)
