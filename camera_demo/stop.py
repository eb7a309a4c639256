"""A request to end, made by signals and looked at by everything that waits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import Final

from edge.interrupts import send_again_if_lost
from edge.unfinished import exit_at_once

__all__ = ["Stop", "stop_on_signals"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLICE_S: Final = 0.05


class Stop:
    """A request to end, which a signal handler may make and any thread may see.

    It is a plain flag and no :class:`threading.Event`: setting one of those from a signal handler can deadlock.
    """

    __slots__ = ("_also", "_is_attended", "_is_requested")

    def __init__(self, also: Callable[[], bool] = lambda: False) -> None:
        """Prepare the flag.

        Args:
            also: Another reason to end, asked whenever the request is looked at.
        """
        self._also, self._is_requested, self._is_attended = also, False, False

    @property
    def is_requested(self) -> bool:
        """Whether the end is requested."""
        return self._is_requested or self._also()

    def request(self) -> None:
        """Request the end. It cannot be undone."""
        self._is_requested = True

    @property
    def is_attended(self) -> bool:
        """Whether something looks at the request by now. Until then, signals interrupt instead."""
        return self._is_attended

    def attend(self) -> None:
        """Say that the request is looked at from now on, so that signals need not interrupt."""
        self._is_attended = True

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` seconds, or until shortly after the end is requested."""
        end_s = time.monotonic() + duration_s
        while not self.is_requested and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _SLICE_S))


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a request to end, while the block runs.

    Until :meth:`Stop.attend` is called, they raise :class:`KeyboardInterrupt` instead. A second signal of the
    same kind ends the process at once, even where a driver holds the main thread, and removes what is half-written.
    Signals that were ignored (``nohup``) stay so. Only for the main thread.

    Yields:
        What the signals set.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.is_attended and send_again_if_lost(number, frame):
            return
        signal.signal(number, _noted)
        stop.request()
        if not stop.is_attended:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    with _ending_at_the_second(handled):
        for number in handled:
            signal.signal(number, handle)
        try:
            yield stop
        finally:
            for number in handled:
                signal.signal(number, before[number])


def _noted(number: int, frame: FrameType | None) -> None:
    """The watching thread has seen to it."""


@contextlib.contextmanager
def _ending_at_the_second(numbers: Collection[int]) -> Iterator[None]:
    """Watch, in a thread, for the second signal of a kind: Python itself would not look before a call returns."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        seen = set[int]()
        while number := os.read(reader, 1):
            if number[0] in seen:
                exit_at_once(128 + number[0])
            seen.update({number[0]} & set(numbers))

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()
        os.close(reader)
