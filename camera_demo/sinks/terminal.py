"""One line of text: kept up to date on a terminal, written once a second elsewhere."""

from __future__ import annotations

import errno
import os
import shutil
import time
import unicodedata
from collections.abc import Callable
from typing import Final, TextIO

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.sinks.base import SinkContext, WatcherLeft
from edge.errors import OutputError, os_reason
from edge.text import one_line

__all__ = ["TerminalSink", "describe", "describe_event", "fitted", "open_sink"]

_TERMINAL_S: Final = 0.1
_LOG_S: Final = 1.0
_CLEAR_LINE: Final = "\r\x1b[K"


class TerminalSink:
    """Writes to a text stream, at most ten times a second on a terminal and once a second otherwise."""

    wants_picture = False

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._is_closed = _is_closed(stream)
        self._is_terminal = stream.isatty()
        self._period_s = _TERMINAL_S if self._is_terminal else _LOG_S
        self._due_s: float | None = None
        self._waiting: Result | None = None

    def show(self, result: Result) -> None:
        """Write the line if it is time.

        Raises:
            WatcherLeft: The stream's reader is gone.
            OutputError: It cannot be written.
        """
        now_s = self._clock()
        self._waiting = result
        if self._due_s is None or now_s >= self._due_s:
            self._due_s = now_s + self._period_s
            self._write_line()

    def on_event(self, event: Event) -> None:
        """Write a line that stays.

        Raises:
            WatcherLeft: The stream's reader is gone.
        """
        clear = _CLEAR_LINE if self._is_terminal else ""
        self._write(f"{clear}{describe_event(event)}\n")

    def close(self) -> None:
        """Write the last answer, if it was not, and end the line."""
        try:
            self._write_line()
            if self._is_terminal and self._due_s is not None:
                self._write("\n")
        except (WatcherLeft, OutputError):
            pass
        self._due_s = None

    def _write_line(self) -> None:
        result, self._waiting = self._waiting, None
        if result is None:
            return
        line = describe(result)
        if self._is_terminal:
            self._write(_CLEAR_LINE + fitted(line, shutil.get_terminal_size().columns - 1))
        else:
            self._write(line + "\n")

    def _write(self, text: str) -> None:
        if self._is_closed:
            return
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except BrokenPipeError as reason:
            raise WatcherLeft from reason
        except OSError as reason:
            raise OutputError(f"Cannot write the line of answers: {os_reason(reason)}.") from reason


def _is_closed(stream: TextIO) -> bool:
    """Whether standard output was closed before the program began: nobody is to read, and other outputs go on."""
    try:
        os.write(stream.fileno(), b"")
    except OSError as reason:
        return reason.errno == errno.EBADF
    return False


def fitted(line: str, columns: int) -> str:
    """As much of a line as goes into so wide a terminal: letters of East Asian scripts take two columns, marks none."""
    width = 0
    for place, letter in enumerate(line):
        width += 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > columns:
            return line[:place]
    return line


def describe(result: Result) -> str:
    """An answer on one line, with those of the other regions."""
    labels = ", ".join(_named(each) for each in result.every_region)
    where = result.frame.file or f"frame {result.frame.index}"
    dropped = f", {result.dropped} dropped" if result.dropped else ""
    rests = ", at rest" if result.is_kept else ""
    return one_line(
        f"{labels} | {result.answer_ms:.1f} ms | {result.fps:.1f} fps | "
        f"{result.variant} {result.backend} | {where}{dropped}{rests}"
    )


def describe_event(event: Event) -> str:
    """The begin or end of an event on one line."""
    region = f"{event.region}: " if event.region else ""
    if not event.is_over:
        return one_line(f"{region}{event.label} begins at {event.start.position_s:.1f} s")
    last_s = event.last.position_s
    return one_line(f"{region}{event.label} ends at {last_s:.1f} s, after {event.duration_s:.1f} s")


def _named(result: Result) -> str:
    best = result.best
    region = f"{result.region_name}: " if result.region_name else ""
    return f"{region}{result.label}" + (f" {best.probability:.0%}" if best else "")


def open_sink(place: str, context: SinkContext) -> TerminalSink:
    """Open the line for people; ``place`` is not used."""
    return TerminalSink(context.text)
