"""Running the system's programs: what they print, or nothing."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from edge.board.subprocesses import run_command


def test_a_command_that_works_gives_what_it_printed() -> None:
    assert run_command([sys.executable, "-c", "print('throttled=0x0')"]) == "throttled=0x0\n"


@pytest.mark.parametrize(
    "command",
    [["no-such-command-anywhere"], [sys.executable, "-c", "print('x'); raise SystemExit(3)"], [str(Path(__file__))]],
    ids=["missing", "failing", "not executable"],
)
def test_a_command_that_does_not_work_gives_none(command: list[str]) -> None:
    assert run_command(command) is None


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    started = time.monotonic()
    assert run_command(["sh", "-c", "sleep 60; echo late"], timeout_s=0.3) is None
    assert time.monotonic() - started < 10
