"""Run a command and say what it took; keep the cores busy meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Usage", "neighbours", "run_measured"]


class Usage(NamedTuple):
    """What a process took, from its start to its end."""

    exit_code: int
    cpu_seconds: float
    """Over all cores."""
    peak_mb: float
    """Largest resident size, in MB of 10^6 bytes."""


def run_measured(
    command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str] | None = None
) -> Usage:
    """Run ``command`` in ``folder``, its output into ``log``."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Let ``count`` processes spin while the block runs."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
