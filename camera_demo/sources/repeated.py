"""A file over and over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop

__all__ = ["RepeatedSource"]


class RepeatedSource:
    """Opens its source again at each end; numbers and positions of the frames run on."""

    is_live = False

    def __init__(self, source: Source, reopen: Callable[[], Source]) -> None:
        self.name, self.rate_hz, self.dropped = source.name, source.rate_hz, 0
        self._source, self._reopen = source, reopen

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The frames, without end."""
        index, start_s = 0, 0.0
        while not stop.is_requested:
            position_s = 0.0
            for frame in filter(None, self._source.frames(stop)):
                position_s = frame.position_s
                yield replace(frame, index=index, position_s=start_s + position_s)
                index += 1
            start_s += position_s + 1 / (self.rate_hz or 1.0)
            self._source.close()
            self._source = self._reopen()

    def close(self) -> None:
        """Close the source."""
        self._source.close()
