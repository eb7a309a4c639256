"""The newest frame of a live source: a thread reads, a mailbox keeps one frame, late ones are dropped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Final

import cv2

from camera_demo.frames import CapturedFrame
from camera_demo.mailbox import Mailbox
from camera_demo.sources.contract import Source
from camera_demo.stop import Stop
from edge.errors import EdgeError

__all__ = ["LatestFrames"]

_log = logging.getLogger(__name__)
_POLL_S: Final = 0.1
_JOIN_S: Final = 3.0
"""A camera's read ends within a second, see :func:`camera_demo.cli.prepare_opencv`."""


class LatestFrames:
    """A source read by its own thread, so that a slow model never works on a stale frame.

    The thread starts with :meth:`frames`. It is no daemon: one still inside OpenCV when the interpreter ends would
    abort the process.
    """

    is_live = True

    def __init__(self, source: Source) -> None:
        self.name, self.rate_hz = source.name, source.rate_hz
        self._source, self._stop = source, Stop()
        self._mailbox: Mailbox[CapturedFrame] = Mailbox()
        self._thread = threading.Thread(target=self._capture, name=f"capture {source.name}", daemon=False)
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        return self._mailbox.dropped

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """The newest frame each time one is asked for.

        Raises:
            SourceError: The source broke off.
        """
        self._thread.start()
        while not stop.is_requested and not self._mailbox.is_finished:
            frame = self._mailbox.take(_POLL_S)
            if frame is not None:
                yield frame
        if not stop.is_requested:
            self._mailbox.take(0)

    def close(self) -> None:
        """End the thread, then close the source."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop.request()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("%s does not answer: the program ends when its driver does", self.name)
            return
        self._source.close()

    def _capture(self) -> None:
        reason: Exception | None = None
        try:
            for frame in self._source.frames(self._stop):
                self._mailbox.put(frame)
        except (EdgeError, OSError, cv2.error) as error:
            reason = error
        finally:
            self._mailbox.close(reason)
