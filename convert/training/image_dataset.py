"""Pictures on disk as an endless sequence: shuffled in every epoch, each time seen a little differently."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from convert.data.dataset import Labelled
from convert.errors import TrainingError
from edge.board.memory import available_mb
from edge.errors import ImageError
from edge.vision.images import read_image
from edge.vision.preprocess import Frame

__all__ = ["Augmentation", "Photos", "read_labelled"]

KEPT_SIDE: Final = 512
"""Pictures are kept no larger than this on their short side: above a camera's frames, which are shrunk but once."""
_MEMORY_SHARE: Final = 0.25
"""Of the memory available, for pictures."""
_TRIES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How pictures are changed before they are learned from."""

    strength: float = 1.0
    """0 changes nothing, 1 much. Small networks want less (arXiv 1704.04861, section 3.2)."""
    flips: bool = True
    """Whether left and right may change places: not for letters, digits or signs."""

    @classmethod
    def for_width(cls, alpha: float, *, flips: bool) -> Augmentation:
        """What suits networks up to α = ``alpha``."""
        return cls(strength=min(1.0, 0.4 + 0.6 * alpha), flips=flips)

    def changed(self, frame: Frame, rng: np.random.Generator) -> Frame:
        """A square of ``frame``, uint8 (side, side, 3) BGR, perhaps mirrored, in somewhat other light."""
        height, width = frame.shape[:2]
        area = rng.uniform(1 - 0.65 * self.strength, 1)
        side = max(1, round(min(height, width) * area**0.5))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        square = frame[top : top + side, left : left + side]
        if rng.random() < 0.5 and self.flips:
            square = square[:, ::-1]
        gain = np.exp(rng.normal(0, 0.2 * self.strength)) * rng.normal(1, 0.05 * self.strength, 3)
        table = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)[None]
        return np.asarray(cv2.LUT(np.ascontiguousarray(square), table), np.uint8)


class Photos:
    """A source of the pictures of one split, for :class:`convert.training.trainer.Trainer`."""

    def __init__(self, items: Sequence[Labelled], classes: int, augmentation: Augmentation, seed: int = 0) -> None:
        """Learn from ``items``, in an order that ``seed`` decides.

        Raises:
            TrainingError: Not one picture of a class can be read.
        """
        self.classes: Final = classes
        self.unreadable: Final[dict[str, None]] = {}
        """Why each picture that could not be read was passed over."""
        self._items, self._augmentation, self._seed = tuple(items), augmentation, seed
        self._kept: dict[int, Frame] = {}
        self._room_bytes = _MEMORY_SHARE * available_mb() * 1e6
        self._lock = threading.Lock()
        self._orders: dict[int, list[int]] = {}
        self._check()

    def example(self, number: int) -> tuple[Frame, int]:
        """Picture ``number``, and its class; one that cannot be read gives way to the next."""
        round_, place = divmod(number, len(self._items))
        order = self._order(round_)
        for step in range(_TRIES):
            index = order[(place + step) % len(order)]
            frame = self._frame(index)
            if frame is not None:
                rng = np.random.default_rng((self._seed, 1, number))
                return self._augmentation.changed(frame, rng), self._items[index].label
        raise TrainingError(f"{_TRIES} pictures in a row cannot be read. One of them: {next(iter(self.unreadable))}")

    def _order(self, round_: int) -> list[int]:
        with self._lock:
            if round_ not in self._orders:
                if len(self._orders) > 3:
                    self._orders.pop(min(self._orders))
                rng = np.random.default_rng((self._seed, 0, round_))
                self._orders[round_] = [int(n) for n in rng.permutation(len(self._items))]
            return self._orders[round_]

    def _frame(self, index: int) -> Frame | None:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        try:
            frame = _shrunk(read_image(self._items[index].path))
        except ImageError as reason:
            self.unreadable[str(reason)] = None
            return None
        with self._lock:
            if index not in self._kept and self._room_bytes > frame.nbytes:
                self._room_bytes -= frame.nbytes
                self._kept[index] = frame
        return frame

    def _check(self) -> None:
        waiting = {item.label for item in self._items}
        for index, item in enumerate(self._items):
            if item.label in waiting and self._frame(index) is not None:
                waiting.remove(item.label)
        if waiting:
            reason = next(iter(self.unreadable))
            raise TrainingError(f"Not one picture of class {min(waiting)} can be read. The first: {reason}")


def read_labelled(items: Sequence[Labelled], most: int) -> tuple[list[tuple[Frame, int]], list[str]]:
    """Up to ``most`` of the labelled pictures as they are, spread over all, and why others could not be read.

    Raises:
        TrainingError: Not one can be read.
    """
    step = max(1, -(-len(items) // most))
    read, unreadable = [], []
    for item in items[::step]:
        try:
            read.append((_shrunk(read_image(item.path)), item.label))
        except ImageError as reason:
            unreadable.append(str(reason))
    if not read:
        raise TrainingError(f"None of {len(items)} validation pictures can be read. The first: {unreadable[0]}")
    return read, unreadable


def _shrunk(frame: Frame) -> Frame:
    """``frame``, or a smaller one of the same shape if it is much larger than any network looks at."""
    height, width = frame.shape[:2]
    factor = KEPT_SIDE / min(height, width)
    if factor >= 1:
        return frame
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
