"""What every command shares: options, errors on one line, exit codes, tables, progress bars, and clean output.

Rich is loaded where something is drawn: the live camera starts without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from edge.addresses import without_secrets
from edge.text import clean, json_text, one_line, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["note", "progress_bar", "say", "show_paths", "stderr", "stdout", "table", "write_json"]

_LINE_EVERY_S: Final = 10.0
_WIDTH: Final = 120
"""Columns of a table that goes to a file or another program, or does not fit the terminal."""
_WIDEST: Final = 10_000
_shows_paths = True
_LONGEST_LINE: Final = 4000


def stdout() -> Console:
    """The console for results, wide enough for any table unless it is a terminal."""
    console = _console(sys.stdout)
    return console if console.is_terminal or "COLUMNS" in os.environ else _console(sys.stdout, width=_WIDTH)


def stderr() -> Console:
    """The console for everything that is not a result."""
    return _console(sys.stderr)


def _console(file: Any, width: int | None = None) -> Console:
    """A console that cleans what it prints, takes brackets in it as text, and cuts nothing."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.segment import Segment
    from rich.table import Table

    class CleanConsole(Console):
        def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
            super().print(*objects, crop=crop, **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            if isinstance(renderable, Table):  # a narrow terminal wraps its lines, and no figure is cut
                wide = self.options.update(width=_WIDEST)
                for column in renderable.columns:
                    found = [Measurement.get(self, wide, cell) for cell in (column.header, *column.cells)]
                    column.min_width = max(one.maximum if column.no_wrap else one.minimum for one in found)
                least, options = Measurement.get(self, wide, renderable).minimum, options or self.options
                if least > options.max_width:
                    options = options.update(width=max(least, _WIDTH))
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(clean(segment.text), segment.style)

    return CleanConsole(file=file, width=width, highlight=False, markup=False, emoji=False)


def table(title: str, *headings: str, text: Sequence[str] = ()) -> Table:
    """An empty table of figures, to the right, and of the columns in ``text``, to the left; the first is text."""
    from rich import box
    from rich.table import Table

    result = Table(
        title=title, box=box.SIMPLE_HEAD, collapse_padding=True, title_justify="left", caption_justify="left"
    )
    for number, heading in enumerate(headings):
        is_text = number == 0 or heading in text
        result.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text or number == 0)
    return result


def note(message: str) -> None:
    """Write a remark that belongs to no result, on one line of stderr."""
    say(f"note: {message}")


def show_paths(is_wanted: bool) -> None:
    """Whether :func:`say` shows the paths of addresses: those of cameras have passwords in them."""
    global _shows_paths
    _shows_paths = is_wanted


def say(message: str) -> None:
    """Write one line to stderr, without what is secret in the addresses that the program was given."""
    message = one_line(without_secrets(message, sys.argv[1:], with_paths=_shows_paths))
    typer.echo(shortened(message, _LONGEST_LINE), err=True)


def write_json(value: Any) -> None:
    """Print a result for programs, as one indented JSON value; valid in every encoding of standard output."""
    text = json_text(value, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False)
    typer.echo(text)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr from the first step until the block ends; a line every ten seconds if not a terminal.

    Yields:
        A function to call with the stage and the share done, 0 to 1.
    """
    if not sys.stderr.isatty():
        with _lines(title) as progress:
            yield progress
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    stage_column = TextColumn("{task.fields[stage]}", markup=False)
    bar = Progress(*columns, stage_column, console=stderr(), transient=True)
    task = bar.add_task(title, total=1.0, stage="")

    def step(stage: str, share: float) -> None:
        bar.start()
        bar.update(task, completed=share, stage=stage)

    try:
        yield step
    finally:
        bar.stop()


@contextlib.contextmanager
def _lines(title: str) -> Iterator[Callable[[str, float], None]]:
    """Report progress as lines, however long a step takes: for logs, and for machines without a terminal."""
    latest: tuple[str, float] | None = None
    is_done = threading.Event()

    def progress(stage: str, share: float) -> None:
        nonlocal latest
        latest = stage, share

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads them any more
            while not is_done.wait(_LINE_EVERY_S):
                if latest:
                    say(f"{title}: {latest[1]:.0%}, {latest[0]}")

    writer = threading.Thread(target=write, name="progress", daemon=True)
    writer.start()
    try:
        yield progress
    finally:
        is_done.set()
        writer.join()
