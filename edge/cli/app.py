"""The command line ``edge``, put together from its commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final, NoReturn

import typer

from edge.errors import EdgeError, ExistsError, UnequalBoardError, UnlikeProfilesError
from edge.program import run

__all__ = ["build", "main"]

_HINTS: Final[Mapping[type[EdgeError], str]] = {
    ExistsError: "--force replaces it.",
    UnlikeProfilesError: "--force compares them nevertheless.",
    UnequalBoardError: "edge profile without --like measures this board in full.",
}
"""The option that helps with an error of each class; it is printed behind the error."""
_COMMANDS: Final = ("doctor", "profile", "select", "compare", "classify", "teach", "evaluate")
"""In the order of the help; each is a function of the module of its name."""
_GROUPS: Final = {
    "bundle": "Look into, check, install, roll back and pack bundles.",
    "channel": "Bring bundles to many boards, ring by ring, and follow them.",
}
"""Groups of commands and what they are for; each is the ``app`` of the module of its name."""


def build(command: str | None = None) -> typer.Typer:
    """The command line.

    Args:
        command: The one that is called, to load what that needs and no more: the doctor is there to report that NumPy
            and OpenCV are absent, and a server that publishes a channel may have no OpenCV. None, or a name that there
            is not, for all.
    """
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Measure, choose and run MobileNet v1 variants on this machine.",
        epilog="Example: edge profile --bundle demo && edge select --bundle demo --fps 30",
    )
    app.callback()(lambda: None)
    for name in [command] if command in (*_COMMANDS, *_GROUPS) else (*_COMMANDS, *_GROUPS):
        module = import_module(f"edge.cli.{name}")
        if name in _GROUPS:
            app.add_typer(module.app, name=name, help=_GROUPS[name])
        else:
            app.command(name)(getattr(module, name))
    return app


def main() -> NoReturn:
    """The console script ``edge``."""
    run(lambda: build(next((text for text in sys.argv[1:] if not text.startswith("-")), None)), "edge", _HINTS)
