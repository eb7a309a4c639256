"""All outputs of a run as one: one that fails ends alone, as long as another is left."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.sinks.base import Sink, WatcherLeft
from edge.errors import EdgeError

__all__ = ["Outputs"]

_log = logging.getLogger(__name__)


class Outputs:
    """A :class:`~camera_demo.sinks.base.Sink` that hands on what it is given."""

    def __init__(self, sinks: Sequence[Sink], names: Sequence[str] = ()) -> None:
        """Hand on to opened sinks, which are not closed with this one unless they fail.

        Args:
            sinks: Where to.
            names: What to call each in the log.
        """
        self._open = list(sinks)
        self._names = dict(zip(map(id, sinks), names, strict=False))
        self._failure: EdgeError | None = None

    @property
    def wants_picture(self) -> bool:
        """Whether one of them does."""
        return any(sink.wants_picture for sink in self._open)

    def show(self, result: Result) -> None:
        """Show an answer to each.

        Raises:
            WatcherLeft: Nobody watches one of them any more.
            EdgeError: The last of them failed.
        """
        self._hand_on(lambda sink: sink.show(result))

    def on_event(self, event: Event) -> None:
        """Tell each of an event.

        Raises:
            WatcherLeft: Nobody watches one of them any more.
            EdgeError: The last of them failed.
        """
        self._hand_on(lambda sink: sink.on_event(event))

    def close(self) -> None:
        """Tell of the first failure, at the end of the run that went on without it.

        Raises:
            EdgeError: There was one.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _hand_on(self, give: Callable[[Sink], None]) -> None:
        left: WatcherLeft | None = None
        for sink in tuple(self._open):
            try:
                give(sink)
            except WatcherLeft as reason:  # the others are to have it before the run ends
                left = reason
            except EdgeError as error:
                self._end(sink, error)
        if left is not None:
            raise left

    def _end(self, sink: Sink, error: EdgeError) -> None:
        self._open.remove(sink)
        if not self._open:
            raise error
        self._failure = self._failure or error
        name = self._names.get(id(sink), "an output")
        _log.error("%s ended: %s The other outputs go on.", name, error, extra={"event": "output_failed"})
        with contextlib.suppress(EdgeError):
            sink.close()
