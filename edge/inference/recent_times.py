"""What the newest frames took, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["RecentTimes"]

_MOST: Final = 100
_LEAST: Final = 20
"""Of fewer frames, the 95th percentile is the slowest, and the first frame is always slow."""


class RecentTimes:
    """Times of the last hundred frames. One thread adds; any thread may ask."""

    def __init__(self) -> None:
        self._times_ms: deque[float] = deque(maxlen=_MOST)
        self.add = self._times_ms.append
        """Take in what a frame took, in milliseconds."""

    @property
    def p95_ms(self) -> float | None:
        """Their 95th percentile; None before the twentieth frame."""
        times_ms = sorted(self._times_ms.copy())
        return times_ms[math.ceil(0.95 * len(times_ms)) - 1] if len(times_ms) >= _LEAST else None
