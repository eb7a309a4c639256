"""How much slower than its profile a board is just now, from the frames of the last second."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["Slowdown"]

_LEAST_FRAMES: Final = 3
"""So many are kept however old they are: where frames are slow, a second holds none."""
_LEAST_RATIO: Final = 1e-6


class Slowdown:
    """The 95th percentile (nearest rank) of each frame's time over the p95 that its variant has in the profile."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._ratios: deque[tuple[float, float]] = deque()
        self.now = 1.0
        """1 as profiled, 2 twice as slow; 1 before there is a frame."""

    def add(self, ratio: float, now_s: float) -> None:
        """Take in one frame."""
        self._ratios.append((now_s, max(_LEAST_RATIO, ratio)))
        self.forget_old(now_s)
        ordered = sorted(ratio for _, ratio in self._ratios)
        self.now = ordered[math.ceil(0.95 * len(ordered)) - 1]

    def above(self, limit: float) -> int:
        """How many frames of the last second were slower than that."""
        return sum(ratio > limit for _, ratio in self._ratios)

    def forget_old(self, now_s: float) -> None:
        """Drop the frames before the last second."""
        while len(self._ratios) > _LEAST_FRAMES and self._ratios[0][0] < now_s - self._window_s:
            self._ratios.popleft()

    def forget_all(self) -> None:
        """Begin anew."""
        self._ratios.clear()
        self.now = 1.0
