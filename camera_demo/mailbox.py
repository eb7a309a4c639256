"""A queue for the newest items, so that a slow reader keeps up with a fast writer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["Mailbox"]

_T = TypeVar("_T")
_ABANDONED_S: Final = 2.0


class Mailbox(Generic[_T]):
    """Holds the newest items until they are taken, oldest first.

    A full one drops its oldest item, and counts it; or, if it may lose nothing, makes the writer wait.

    >>> box = Mailbox[str]()
    >>> box.put("old"), box.put("new")
    (None, None)
    >>> box.take(timeout_s=0), box.take(timeout_s=0), box.dropped
    ('new', None, 1)
    """

    def __init__(self, capacity: int = 1, *, is_lossy: bool = True) -> None:
        self._changed = threading.Condition()
        self._items: deque[_T] = deque()
        self._capacity, self._is_lossy = capacity, is_lossy
        self._dropped, self._taken_s = 0, time.monotonic()
        self._is_closed = False
        self._error: Exception | None = None

    @property
    def dropped(self) -> int:
        """Number of items that newer ones replaced before they were taken."""
        return self._dropped

    def is_abandoned(self) -> bool:
        """Whether the program's main thread has ended and nothing is taken any more: a reader was not closed."""
        return not threading.main_thread().is_alive() and time.monotonic() - self._taken_s > _ABANDONED_S

    @property
    def is_finished(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._is_closed and not self._items

    def put(self, item: _T) -> None:
        """Add ``item``. In a closed mailbox it is lost."""
        with self._changed:
            while not self._is_lossy and len(self._items) >= self._capacity and not self._is_closed:
                if self.is_abandoned():
                    return
                self._changed.wait(_ABANDONED_S)
            if self._is_closed:
                return
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def close(self, error: Exception | None = None) -> None:
        """Say that nothing more will come, and why, if it is an error. What is in it can still be taken."""
        with self._changed:
            self._is_closed, self._error = True, error
            self._changed.notify_all()

    def take(self, timeout_s: float) -> _T | None:
        """The oldest item, waiting for one up to ``timeout_s`` seconds.

        Returns:
            None when nothing came in time, or nothing will.

        Raises:
            Exception: The error it was closed with, once the last item is taken.
        """
        self._taken_s = time.monotonic()
        end_s = self._taken_s + timeout_s
        with self._changed:
            while not self._items and not self._is_closed and (left_s := end_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None
