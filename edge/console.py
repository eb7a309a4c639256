"""What every command of this package does alike: errors on one line, exit codes, tables, progress bars.

Rich is loaded where something is drawn: the live camera starts without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

from edge.errors import EdgeError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["fail", "note", "progress_bar", "run", "stderr", "stdout", "table", "write_json"]

_LINE_EVERY_S: Final = 10.0
_WIDTH: Final = 120
"""Columns of a table that goes to a file or another program."""


def stdout() -> Console:
    """The console for results; where it is no terminal, wide enough for any table."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=_WIDTH)


def stderr() -> Console:
    """The console for everything that is not a result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def table(title: str, *headings: str, text: Sequence[str] = ()) -> Table:
    """An empty table of figures, to the right, and of the columns in ``text``, to the left; the first is text."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, title_justify="left")
    for number, heading in enumerate(headings):
        is_text = number == 0 or heading in text
        made.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text or number == 0)
    return made


def note(message: str) -> None:
    """Say something that is no result, on one line of stderr."""
    typer.echo(f"note: {' '.join(message.split())}", err=True)


def write_json(value: Any) -> None:
    """Print a result for programs, as one indented JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr while the block runs; where stderr is not a terminal, a line every ten seconds.

    Yields:
        A function to tell it what is at work and the share done, 0 to 1.
    """
    if not sys.stderr.isatty():
        yield _lines(title)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, TextColumn("{task.fields[stage]}"), console=stderr(), transient=True) as bar:
        task = bar.add_task(title, total=1.0, stage="")
        yield lambda stage, share: bar.update(task, completed=share, stage=stage)


def _lines(title: str) -> Callable[[str, float], None]:
    """Report progress as lines: for logs, and for machines without a terminal."""
    last = time.monotonic()

    def progress(stage: str, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            typer.echo(f"{title}: {share:.0%}, {stage}", err=True)

    return progress


def fail(program: str, message: str, exit_code: int) -> NoReturn:
    """End the process with one line on stderr."""
    typer.echo(f"{program}: {' '.join(message.split())}", err=True)
    sys.exit(exit_code)


def run(app: typer.Typer, program: str, hints: Mapping[type[EdgeError], str] = {}) -> NoReturn:
    """Run a command line: results to stdout, one line per error to stderr, and an exit code.

    0 is well, 1 is an error of what was given, 2 is a wrong command line. ``--debug`` anywhere on the line lets
    exceptions through with their traceback. SIGTERM ends it as Ctrl-C does: nothing half-written stays.

    Args:
        app: The commands.
        program: The name of the program, which stands before its messages.
        hints: What to say behind the error of a class, the first that fits.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop)
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    is_debugging = len(arguments) < len(sys.argv) - 1
    if not arguments and len(app.registered_commands) > 1:
        arguments = ["--help"]
    try:
        sys.exit(app(arguments, prog_name=program, standalone_mode=False) or 0)
    except _Terminated:
        fail(program, "stopped", 143)
    except (KeyboardInterrupt, typer.Abort):
        fail(program, "stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:  # the rim: a fault of ours must not end in a traceback
        if is_debugging:
            raise
        fail(program, *_told(error, program, hints))


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def _stop(number: int, frame: object) -> None:
    raise _Terminated


def _told(error: Exception, program: str, hints: Mapping[type[EdgeError], str]) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, EdgeError):
        hint = next((hint for kind, hint in hints.items() if isinstance(error, kind)), "")
        return f"{error} {hint}".rstrip(), error.exit_code
    usage = getattr(error, "format_message", None)  # typer's own, whose class differs from version to version
    if usage is not None:
        return f"{usage().rstrip('.')}. See {program} --help.", 2
    cause = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"an error of this program, not of yours ({cause}); run it again with --debug and report it", 1
