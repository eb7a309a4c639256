"""A command line as a program: standard streams, options of every command, errors as one line, exit codes."""

from __future__ import annotations

import contextlib
import copy
import errno
import io
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperOption

from edge.console import say, show_paths
from edge.errors import EdgeError, os_reason
from edge.files import shown_name
from edge.interrupts import Terminated, end_on_interrupt, raise_on_signals
from edge.limits import limit_reached, require_address_space
from edge.native_output import show_native_output
from edge.parts import failed_import

__all__ = ["run"]

_OF_CAMERAS: Final = "camera-demo"
"""The program whose addresses have passwords in their paths; those of the others name files."""
_INTERRUPTED: Final = 130
_NOBODY_READS: Final = 141
"""As of a program that SIGPIPE ends."""
_NOT_A_NUMBER: Final = re.compile(r"\bis not a valid (int|float)(?: range)?(?=\.?$)")
_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")
"""A line's end within a paragraph."""
_NUMBERS: Final = {"int": "is not a whole number", "float": "is not a number"}
"""Plain words for what typer says of a value."""
_WRITE_ERRORS: Final = (errno.EBADF, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""Why standard output cannot be written: it is closed, or its disk is full."""
_ENVIRONMENT: Final = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EIO, errno.ESTALE, errno.ELOOP, errno.ENAMETOOLONG),
)
"""Why a file cannot be used that are faults of the machine or of who owns it, and not of this program."""
_LEAST_BYTES: Final = 300 << 20
_LEAST_BYTES_PER_CORE: Final = 110 << 20
"""Address space that the libraries and a small model take, 490 MB with two cores: with less, libraries may crash."""
_RESERVE_BYTES: Final = 4 << 20
"""Address space that is given up when an error is to be said, as none may be left. Nothing is written there."""


def _fail(program: str, message: str, exit_code: int) -> NoReturn:
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
    show_paths(program != _OF_CAMERAS)
    end_on_interrupt()
    _open_standard_streams()
    reserve = [bytearray(_RESERVE_BYTES)]
    last_words = f"{program}: There is not enough memory.\n".encode()
    arguments = sys.argv[1:]
    is_debugging = "--debug" in arguments
    if is_debugging:
        show_native_output()
    try:
        if arguments == ["--version"]:
            _print_version(program)
        require_address_space(_LEAST_BYTES + _LEAST_BYTES_PER_CORE * (os.cpu_count() or 1))
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
        _fail(program, "stopped", 143)
    except (KeyboardInterrupt, typer.Abort):
        exec("")  # else Python, which notes an interrupt within an exec of text, ends itself by SIGINT
        _fail(program, "stopped", _INTERRUPTED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(_NOBODY_READS)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer and rich end with 1, which is for errors
            _discard_output()
            sys.exit(_NOBODY_READS)
        raise
    except Exception as error:  # the rim: a fault of ours must not end in a traceback
        if is_debugging:
            raise
        reserve.clear()
        if isinstance(error, OSError) and error.errno in _WRITE_ERRORS:
            _discard_output()
        try:
            _fail(program, *_explained(error, program, hints))
        except MemoryError:
            os.write(2, last_words)
            os._exit(1)


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
    for parameter in command.params:
        _refuse_non_finite(parameter)
    if "--debug" not in declared:
        text = "Show the traceback of an error."
        command.params.append(TyperOption(param_decls=["--debug"], is_flag=True, expose_value=False, help=text))
    for below in getattr(command, "commands", {}).values():
        _add_options(below, program, is_root=False)


def _refuse_non_finite(parameter: Any) -> None:
    """Let an option take no ``nan`` and no ``inf``, which pass every comparison with a limit or none."""
    kind = parameter.type
    if not str(getattr(kind, "name", "")).startswith("float"):
        return
    parameter.type = copy.copy(kind)  # typer has one for all options

    def convert(value: Any, *place: Any) -> float:
        number: float = kind.convert(value, *place)
        if not math.isfinite(number):
            kind.fail(f"{value!r} is not a finite number.", *place)
        return number

    parameter.type.convert = convert


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
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT and error.filename is not None:
        return f"Cannot use {shown_name(error.filename)}: {os_reason(error)}.", 1
    cause = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"internal error ({cause}): please report it with the output of --debug", 1
