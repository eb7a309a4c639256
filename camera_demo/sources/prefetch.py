"""A source read by a thread of its own: the newest frame of a live one, the next frames of a file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from camera_demo.frames import CapturedFrame
from camera_demo.mailbox import Mailbox
from camera_demo.sources.base import Prepare, Source
from camera_demo.stop import Stop

__all__ = ["BackgroundSource", "latest_frames", "read_ahead"]

_log = logging.getLogger(__name__)
_POLL_S: Final = 0.1
_JOIN_S: Final = 6.0
"""A camera's read ends within a second and a stream's within three, see :mod:`camera_demo.opencv`."""
_AHEAD: Final = 2


class BackgroundSource:
    """Frames that a thread puts into a mailbox while the reader works on the one before.

    The thread starts with :meth:`frames`. It is not a daemon: one still inside OpenCV when the interpreter ends would
    abort the process.
    """

    def __init__(self, source: Source, mailbox: Mailbox[CapturedFrame], *, is_live: bool) -> None:
        self.name, self.rate_hz, self.is_live = source.name, source.rate_hz, is_live
        self._source, self._stop, self._mailbox = source, Stop(mailbox.is_abandoned), mailbox
        self._thread = threading.Thread(target=self._capture, name=f"capture {source.name}", daemon=False)
        self._is_closed = False
        self._prepare: Prepare | None = None

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        return self._mailbox.dropped

    def frames(self, stop: Stop, prepare: Prepare | None = None) -> Iterator[CapturedFrame | None]:
        """The next frame in the mailbox each time one is asked for; None each 0.1 s where there is none.

        A file's frames lay ready, so they count as captured when they are taken, less what was done to them before.
        ``prepare`` works on each frame on the capturing thread, while the model works on the one before.

        Raises:
            SourceError: The source broke off.
            Exception: What else the source or ``prepare`` failed with.
        """
        self._prepare = prepare
        self._thread.start()
        while not stop.is_requested and not self._mailbox.is_finished:
            frame = self._mailbox.take(_POLL_S)
            yield frame if frame is None or self.is_live else _taken_now(frame)
        if not stop.is_requested:
            self._mailbox.take(0)

    def close(self) -> None:
        """End the thread, then close the source."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop.request()
        self._mailbox.close()
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
                if frame is not None:
                    self._mailbox.put(self._prepare(frame) if self._prepare else frame)
        except Exception as error:  # noqa: BLE001 - the reader gets it: to end here would pass for the source's end
            reason = error
        finally:
            self._mailbox.close(reason)


def _taken_now(frame: CapturedFrame) -> CapturedFrame:
    ahead_s = frame.prepared.preprocess_ms / 1e3 if frame.prepared else 0.0
    return replace(frame, captured_at_s=time.monotonic() - ahead_s)


def latest_frames(source: Source) -> BackgroundSource:
    """A live source, of which a slow model gets the newest frame and never a stale one."""
    return BackgroundSource(source, Mailbox(), is_live=True)


def read_ahead(source: Source) -> BackgroundSource:
    """A file, whose next frames are decoded while the model works. None is lost."""
    return BackgroundSource(source, Mailbox(_AHEAD, is_lossy=False), is_live=False)
