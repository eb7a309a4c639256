"""Keeps the chatter of native libraries out of the user's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Final

from edge.text import clean

__all__ = ["quiet_native_output", "show_native_output"]

_CHATTER: Final = (b"INFO: ", b"VERBOSE: ")
"""How the lines begin that TensorFlow Lite writes to file descriptor 2 without being asked."""
_lock = threading.Lock()
_is_shown = False


def show_native_output() -> None:
    """Let everything through from now on, as ``--debug`` does."""
    global _is_shown
    _is_shown = True


@contextlib.contextmanager
def quiet_native_output() -> Iterator[None]:
    """Hold back what is written to file descriptor 2 while the block runs; afterwards write all of it but chatter.

    Other threads' lines are late by as much, and none is lost.
    """
    with _lock, contextlib.ExitStack() as stack:
        try:
            if _is_shown:
                raise OSError
            real = os.dup(2)
            stack.callback(os.close, real)
            held = stack.enter_context(tempfile.TemporaryFile(buffering=0))
        except OSError:  # stderr is closed, or there is no place for a file: nothing is held back
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            held.seek(0)
            kept = b"".join(line for line in held.read().splitlines(keepends=True) if not line.startswith(_CHATTER))
            with contextlib.suppress(OSError):
                os.write(2, clean(kept.decode(errors="replace")).encode())
