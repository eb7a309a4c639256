"""One JSON object a line and frame, for programs."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from camera_demo.errors import SinkError
from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.sinks.base import SinkContext, WatcherLeft
from edge.errors import OutputError, os_reason
from edge.text import json_text

__all__ = ["JsonLinesSink", "open_sink"]


class JsonLinesSink:
    """Writes each answer at once, unbuffered, so that whoever reads along is never behind."""

    wants_picture = False

    def __init__(self, file: io.RawIOBase, name: str) -> None:
        """Write to ``file``, called ``name`` in messages; it is closed in the end."""
        self._file, self._name = file, name
        self._events: list[dict[str, Any]] = []

    def show(self, result: Result) -> None:
        """Write one line, with the events that the answer led to.

        Raises:
            WatcherLeft: The pipe's reader is gone.
            OutputError: The disk is full; a file keeps its whole lines.
        """
        self._write(result.to_dict() | self._taken_events())

    def on_event(self, event: Event) -> None:
        """Keep the event for the next line."""
        self._events.append(event.to_dict())

    def close(self) -> None:
        """Write the events that no answer followed, as a line of their own, and close the file.

        Raises:
            OutputError: The disk is full.
        """
        try:
            if self._events and not self._file.closed:
                with contextlib.suppress(WatcherLeft):
                    self._write(self._taken_events())
        finally:
            self._file.close()

    def _taken_events(self) -> dict[str, Any]:
        events, self._events = self._events, []
        return {"events": events} if events else {}

    def _write(self, value: dict[str, Any]) -> None:
        line = json_text(value).encode() + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except BrokenPipeError as reason:
            raise WatcherLeft from reason
        except OSError as reason:
            self._cut(len(line) - len(rest))
            raise OutputError(f"Cannot write {self._name}: {os_reason(reason)}.") from reason

    def _cut(self, part_bytes: int) -> None:
        """Take the begun line back; what the file held before, as after ``>>``, stays."""
        with contextlib.suppress(OSError):  # pipes and devices cannot be cut
            self._file.seek(self._file.truncate(self._file.tell() - part_bytes))


def open_sink(place: str, context: SinkContext) -> JsonLinesSink:
    """Open standard output for ``-``, else the file at the path ``place``, which is overwritten.

    Raises:
        SinkError: There is no name.
        OutputError: The file cannot be written.
    """
    if place == "-":
        return JsonLinesSink(io.FileIO(os.dup(1), "wb"), "standard output")
    if not place:
        raise SinkError("json: names no file: expected json:- for standard output, or json:FILE.")
    try:
        return JsonLinesSink(io.FileIO(Path(place), "wb"), place)
    except OSError as reason:
        raise OutputError(
            f"Cannot write {place}: {os_reason(reason)}. Choose a folder that exists and is yours."
        ) from reason
