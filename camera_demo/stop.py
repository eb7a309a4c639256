"""Ending well: a request that signals make, and that everything which waits looks at."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["Stop", "stop_on_signals"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLICE_S: Final = 0.05


class Stop:
    """A request to end, which a signal handler may make and any thread may see.

    It is a plain flag and no :class:`threading.Event`: setting one of those from a signal handler can deadlock.
    """

    __slots__ = ("_is_requested", "is_attended")

    def __init__(self) -> None:
        self._is_requested = False
        self.is_attended = False
        """Whether somebody looks at it by now. Until then, signals interrupt instead."""

    @property
    def is_requested(self) -> bool:
        """Whether somebody wants the end."""
        return self._is_requested

    def request(self) -> None:
        """Ask for the end. There is no way back."""
        self._is_requested = True

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` seconds, or until shortly after the end is requested."""
        end_s = time.monotonic() + duration_s
        while not self._is_requested and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _SLICE_S))


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a request to end, while the block runs.

    As long as nobody attends to the request, they raise :class:`KeyboardInterrupt` instead. A second signal of the
    same kind ends the process at once. Signals that were ignored (``nohup``) stay so. Only for the main thread.

    Yields:
        What the signals set.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.request()
        if not stop.is_attended:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number in handled:
            signal.signal(number, before[number])
