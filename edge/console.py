"""What every command shares: options, errors on one line, exit codes, tables, progress bars, and clean output.

Rich is loaded where something is drawn: the live camera starts without it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer
from typer.core import TyperOption

from edge.addresses import without_secrets
from edge.errors import EdgeError, os_reason
from edge.interrupts import Terminated, end_on_interrupt, raise_on_signals
from edge.limits import limit_reached
from edge.native_output import show_native_output
from edge.parts import failed_import
from edge.text import clean, json_text, one_line, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["fail", "note", "progress_bar", "run", "say", "stderr", "stdout", "table", "write_json"]

_LINE_EVERY_S: Final = 10.0
_WIDTH: Final = 120
"""Columns of a table that goes to a file or another program, or does not fit the terminal."""
_WIDEST: Final = 10_000
_OF_CAMERAS: Final = "camera-demo"
"""The program whose addresses have passwords in their paths; those of the others name files."""
_shows_paths = True
_LONGEST_LINE: Final = 4000
_INTERRUPTED: Final = 130
_NOT_A_NUMBER: Final = re.compile(r"\bis not a valid (int|float)(?: range)?(?=\.?$)")
_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")
"""A line's end within a paragraph."""
_NUMBERS: Final = {"int": "is not a whole number", "float": "is not a number"}
"""Plain words for what typer says of a value."""
_WRITE_ERRORS: Final = (errno.EBADF, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""Why standard output cannot be written: it is closed, or its disk is full."""


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


def fail(program: str, message: str, exit_code: int) -> NoReturn:
    """End the process with one line on stderr."""
    say(f"{program}: {message}")
    sys.exit(exit_code)


def run(build: Callable[[], typer.Typer], program: str, hints: Mapping[type[EdgeError], str] = {}) -> NoReturn:
    """Run a command line: results to stdout, one line per error to stderr, and an exit code.

    0 is success, 1 an error in what was given, 2 a wrong command line. ``--debug``, an option of every command, lets
    exceptions through with their traceback; ``--version`` is one of the program. SIGTERM ends it as
    Ctrl-C does: nothing half-written stays.

    Args:
        build: Makes the command line. It is called here, so that a library it lacks ends in one line as well.
        program: Its name, which stands before its messages.
        hints: What to say behind the error of a class, the first that fits.
    """
    global _shows_paths
    _shows_paths = program != _OF_CAMERAS
    end_on_interrupt()
    _open_standard_streams()
    arguments = sys.argv[1:]
    is_debugging = "--debug" in arguments
    if is_debugging:
        show_native_output()
    try:
        if arguments == ["--version"]:
            _print_version(program)
        command = typer.main.get_command(build())
        _add_options(command, program)
        if not arguments and hasattr(command, "commands"):
            arguments = ["--help"]
        raise_on_signals()
        exit_code = command.main(arguments, prog_name=program, standalone_mode=False) or 0
        if exit_code == _INTERRUPTED:  # some versions of typer return it for Ctrl-C, others raise
            raise KeyboardInterrupt
        sys.stdout.flush()
        end_on_interrupt()
        sys.exit(exit_code)
    except Terminated:
        fail(program, "stopped", 143)
    except (KeyboardInterrupt, typer.Abort):
        fail(program, "stopped", _INTERRUPTED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(141)
    except Exception as error:  # the rim: a fault of ours must not end in a traceback
        if is_debugging:
            raise
        if isinstance(error, OSError) and error.errno in _WRITE_ERRORS:
            _discard_output()
        fail(program, *_explained(error, program, hints))


def _open_standard_streams() -> None:
    """Let no character of a label stop a line, and give a closed stream what a later file must not take: its number."""
    for name, number, flags in (("stdout", 1, os.O_RDONLY), ("stderr", 2, os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:
            # Read-only in place of stdout: what is written to it is lost, and that is an error.
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(_Output(number, "wb", closefd=False))))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Output(io.FileIO):
    """A file that is not asked whether it may be written before it is."""

    def writable(self) -> bool:
        return True


def _discard_output() -> None:
    """Let what is left to write to standard output go nowhere, so that ending the process does not try again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout.flush()


def _add_options(command: Any, program: str, *, is_root: bool = True) -> None:
    """Declare ``--debug`` on a command and all below it, and ``--version`` on the first; let help wrap."""
    if command.help:
        command.help = _LINE_BREAK.sub(" ", command.help)
    declared = {name for parameter in command.params for name in parameter.opts}
    if is_root and "--version" not in declared:
        command.params.append(
            TyperOption(
                param_decls=["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=lambda context, parameter, value: _print_version(program) if value else None,
                help="Show the version and exit.",
            )
        )
    if "--debug" not in declared:
        text = "Show the traceback of an error."
        command.params.append(TyperOption(param_decls=["--debug"], is_flag=True, expose_value=False, help=text))
    for below in getattr(command, "commands", {}).values():
        _add_options(below, program, is_root=False)


def _print_version(program: str) -> NoReturn:
    import edge

    typer.echo(f"{program} {edge.__version__}")
    sys.stdout.flush()
    sys.exit(0)


def _explained(error: Exception, program: str, hints: Mapping[type[EdgeError], str]) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    limit = limit_reached(error)
    if isinstance(error, EdgeError):
        hint = next((hint for kind, hint in hints.items() if isinstance(error, kind)), limit)
        return f"{error} {hint}".rstrip(), error.exit_code
    if limit:
        return limit, 1
    usage = getattr(error, "format_message", None)  # typer's own, whose class differs from version to version
    if usage is not None:
        message = _NOT_A_NUMBER.sub(lambda match: _NUMBERS[match[1]], str(usage()).strip())
        place = getattr(getattr(error, "ctx", None), "command_path", program)
        return f"{message}{'' if message.endswith(tuple('.?!')) else '.'} See {place} --help.", 2
    if isinstance(error, ImportError):
        return failed_import(error), 1
    if isinstance(error, OSError) and error.errno in _WRITE_ERRORS and error.filename is None:
        return f"Cannot write to standard output: {os_reason(error)}.", 1
    cause = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"internal error ({cause}): please report it with the output of --debug", 1
