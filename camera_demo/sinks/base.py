"""What every sink of answers must do: take one, close. And what it is given when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.run_state import RunState

__all__ = ["Sink", "SinkContext", "WatcherLeft"]


class WatcherLeft(Exception):  # noqa: N818 - reads as the fact it states
    """Nobody watches any more: the window or the pipe was closed. The loop ends well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What a sink may need of its surroundings."""

    rate_hz: float | None
    """Frames a second as the source states it."""
    text: TextIO
    """Where lines for people go."""
    announce: Callable[[str], None]
    """Takes one line for people, said once."""
    run_state: RunState
    """What the run tells of itself."""
    camera: str = ""
    """What the camera is called."""
    topic: str = ""
    """What tells the camera from others of this machine, at every start."""
    regions: tuple[str, ...] = ()
    """The regions' names."""
    watched: tuple[str, ...] = ()
    """The labels that were asked for."""
    token: str | None = None
    """What a browser must know to see the page; None to make one up where one is needed."""


class Sink(Protocol):
    """A place that answers go to."""

    @property
    def wants_picture(self) -> bool:
        """Whether the next answer should come with the frame it was drawn on."""

    def show(self, result: Result) -> None:
        """Take one answer. Must not wait for anybody, unless its scheme says that it may.

        Raises:
            WatcherLeft: Nobody watches any more.
            SinkError: The sink broke.
            OutputError: The file cannot be written.
        """

    def on_event(self, event: Event) -> None:
        """Take the begin of an event, or its end. It comes before the answer that led to it, and must not wait either.

        Raises:
            WatcherLeft: Nobody watches any more.
            SinkError: The sink broke.
            OutputError: The file cannot be written.
        """

    def close(self) -> None:
        """Finish what was begun. A second call does nothing.

        Raises:
            OutputError: The file could not be written in full, and none was left behind.
        """
