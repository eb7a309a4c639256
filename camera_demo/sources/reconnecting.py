"""A camera or stream that is opened again, for as long as it takes, whenever it breaks off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol

from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop

__all__ = ["Opener", "ReconnectingSource", "Report"]

Opener = Callable[[Stop], Source]
"""Opens a source; the stop ends the waiting for its first picture. Raises :class:`SourceError`."""
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 2.0
_STEADY_S: Final = 5.0
"""A source that lasted so long begins with a short pause when it breaks off again."""


class Report(Protocol):
    """Status of the frame source, reported by the thread that reads it."""

    def lost(self, name: str, reason: str) -> None:
        """The source broke off, or opening it failed for another reason than before."""

    def found(self, name: str) -> None:
        """The source gives frames: for the first time, or again."""


class ReconnectingSource:
    """Gives the frames of a source and, when it breaks off, opens it again: at once, then at growing intervals.

    Numbers and positions of the frames run on. Never spins: between two attempts it sleeps at least a quarter of a
    second. It ends only with its stop.
    """

    is_live = True

    def __init__(
        self,
        source: Source | None,
        reopen: Opener,
        report: Report,
        *,
        name: str,
    ) -> None:
        """Begin with ``source``, or with opening it where it is None.

        Args:
            source: The opened source; None to wait for one that is not there yet.
            reopen: Opens it again.
            report: Called at each loss and return.
            name: What it is, for people.
        """
        self.name, self.rate_hz, self.dropped = name, None if source is None else source.rate_hz, 0
        self._source, self._reopen, self._report = source, reopen, report
        self._pause_s = _FIRST_PAUSE_S

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The frames, across all interruptions."""
        index, start_s = 0, time.monotonic()
        while not stop.is_requested:
            source = self._source or self._open(stop)
            if source is None:
                continue
            self._source, opened_s, reason = source, time.monotonic(), "the stream ended"
            try:
                for frame in source.frames(stop):
                    if frame is None:
                        continue
                    if frame.index == 0:
                        self._report.found(source.name)
                    yield replace(frame, index=index, position_s=max(0.0, frame.captured_at_s - start_s))
                    index += 1
            except SourceError as error:
                reason = str(error)
            self._let_go()
            if not stop.is_requested:
                self._report.lost(self.name, reason)
                self._wait(stop, is_steady=time.monotonic() - opened_s > _STEADY_S)

    def close(self) -> None:
        """Close the source that is open, if one is."""
        self._let_go()

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _open(self, stop: Stop) -> Source | None:
        try:
            return self._reopen(stop)
        except SourceError as error:
            if not stop.is_requested:
                self._report.lost(self.name, str(error))
                self._wait(stop)
            return None

    def _wait(self, stop: Stop, *, is_steady: bool = False) -> None:
        if is_steady:
            self._pause_s = _FIRST_PAUSE_S
        stop.sleep(self._pause_s)
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)
