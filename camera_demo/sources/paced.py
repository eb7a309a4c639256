"""A file at its own rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop

__all__ = ["PacedSource"]


class PacedSource:
    """Gives each frame when its position in the stream comes, as a camera would."""

    is_live = True

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.rate_hz, self.dropped = source.name, source.rate_hz, 0
        self._source, self._clock = source, clock

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The frames of the source, each stamped with the time it was due."""
        start_s = self._clock()
        for frame in filter(None, self._source.frames(stop)):
            due_s = start_s + frame.position_s
            stop.sleep(due_s - self._clock())
            if stop.is_requested:
                return
            yield replace(frame, captured_at_s=self._clock())

    def close(self) -> None:
        """Close the source."""
        self._source.close()
