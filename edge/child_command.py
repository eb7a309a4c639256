"""The command that runs one of our modules in a child process, and never a module of the folder it is called in."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["child_command"]

_RUN: Final = (
    "import sys; sys.path[:] = sys.argv.pop(1).split(chr(10)); import runpy;"
    "runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)
"""Takes the parent's search path and the module's name. ``python -m`` would search the current folder first."""


def child_command(module: str, *arguments: str) -> list[str]:
    """The command line of a child process that runs ``module`` with this process's interpreter and search path.

    Args:
        module: A module with a ``__main__`` part, or a package with a ``__main__``.
        arguments: What its ``sys.argv`` has after the first item.
    """
    return [sys.executable, "-c", _RUN, "\n".join(sys.path), module, *arguments]
