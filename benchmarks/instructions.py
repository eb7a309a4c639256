"""Instructions that an emulated Arm core executes between two marks.

The counter is a script ``ICOUNT_SH ROOT BOARD SCRIPT [ARG...]`` that runs a Python script on the core of a ``pi4`` or
``pi5`` and prints a JSON line for each mark: a call of ``getpgid`` with a number that no process group has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["count_calls", "mark", "millions"]

ROOT: Final = Path(__file__).resolve().parents[1]
_MARK: Final = 0x51AB
_WARM_UP: Final = 4
"""Calls before the one that counts: from the second on a count is the same each time."""


def mark() -> None:
    """Begin or end a stretch, in the script that is counted."""
    with suppress(OSError):
        os.getpgid(_MARK)


def count_calls(work: Mapping[str, Callable[[], object]]) -> list[str]:
    """Make each call between two marks, in the script that is counted; the labels in their order."""
    for call in work.values():
        for _ in range(_WARM_UP):
            call()
        mark()
        call()
        mark()
    return list(work)


def millions(icount: Path, root: Path, packages: Path, board: str, script: Path, *arguments: str) -> dict[str, float]:
    """Count ``script`` on a board's core.

    Args:
        icount: The counter.
        root: An arm64 root.
        packages: The site-packages in it.
        board: ``pi4`` or ``pi5``.
        script: Marks its stretches, and prints their labels as a JSON list on its standard error.
        arguments: The script's.

    Returns:
        Millions of instructions by label.
    """
    environment = os.environ | {"ICOUNT_PYTHONPATH": f"{packages}:{ROOT}"}
    command = [str(icount), str(root), board, str(script.resolve()), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    labels = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('["')]
    if done.returncode or not labels:
        sys.exit(f"{script.name}: the counter failed on {board}: {done.stderr.strip().splitlines()[-1:]}")
    marks = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {label: one["total"] / 1e6 for label, one in zip(labels[0], marks[1::2], strict=True)}
