"""Run a program of the system and take what it prints."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence

__all__ = ["Run", "run_command"]

Run = Callable[[Sequence[str]], str | None]
"""Runs a command and gives what it printed; None if it is missing, fails or hangs."""


def run_command(command: Sequence[str], timeout_s: float = 2.0) -> str | None:
    """Run a command without a shell and without input, and end it with its children when it hangs.

    Returns:
        Its standard output, or None if it is missing, fails, or takes longer than ``timeout_s``.
    """
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, start_new_session=True
        ) as process:
            try:
                output = process.communicate(timeout=timeout_s)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None
            return output.decode(errors="replace") if process.returncode == 0 else None
    except OSError:
        return None
