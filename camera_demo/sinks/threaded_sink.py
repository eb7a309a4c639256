"""A sink behind a thread of its own, so that it may take its time while the loop goes on."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from typing import Final

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.mailbox import Mailbox
from camera_demo.sinks.base import Sink, WatcherLeft
from edge.errors import EdgeError

__all__ = ["DetachedSink"]

_log = logging.getLogger(__name__)
_WAITING: Final = 30
"""Answers that may wait, with their pictures: a second's worth at 30 frames a second."""
_WAITING_EVENTS: Final = 300
_POLL_S: Final = 0.5
_JOIN_S: Final = 5.0


class DetachedSink:
    """Hands answers to a slow sink. When too many wait, the oldest are left out, which is said once.

    For live sources only: of a file, no answer may be lost.
    """

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name = sink, name
        self._mailbox: Mailbox[Result] = Mailbox(_WAITING)
        self._events: deque[Event] = deque(maxlen=_WAITING_EVENTS)
        self._error: EdgeError | WatcherLeft | None = None
        self._is_closed = self._has_complained = False
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def wants_picture(self) -> bool:
        """As the sink says."""
        return self._sink.wants_picture

    def show(self, result: Result) -> None:
        """Leave the answer for the sink.

        Raises:
            WatcherLeft: Nobody watches any more.
            SinkError: The sink broke, at an answer before.
            OutputError: The file cannot be written.
        """
        if self._error is not None:
            raise self._error
        self._mailbox.put(result)
        if self._mailbox.dropped and not self._has_complained:
            self._has_complained = True
            _log.warning("%s is too slow for every answer; the oldest of those that wait are left out", self._name)

    def on_event(self, event: Event) -> None:
        """Leave the event for the sink, which takes it before the answers that wait: none is left out with them."""
        self._events.append(event)

    def close(self) -> None:
        """Let the sink take what waits, and finish it.

        Raises:
            OutputError: The file could not be written in full.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._mailbox.close()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("%s takes nothing any more; %d answers are lost", self._name, self._mailbox.dropped)
            return
        if self._error is None:
            with contextlib.suppress(WatcherLeft):
                self._pass_events_on()
        self._sink.close()

    def _pass_events_on(self) -> None:
        while self._events:
            self._sink.on_event(self._events.popleft())

    def _run(self) -> None:
        while not self._mailbox.is_finished:
            result = self._mailbox.take(_POLL_S)
            try:
                self._pass_events_on()
                if result is not None:
                    self._sink.show(result)
            except (EdgeError, WatcherLeft) as error:
                self._error = error
                self._mailbox.close()
                return
