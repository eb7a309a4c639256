"""Labelling on the page outlives kill -9; ``scripts/test-kills`` does it more often."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import kills

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_that_was_confirmed_is_lost_and_nothing_is_half_written() -> None:
    line = [sys.executable, "-m", "scripts.kills", "--points", "3"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "killed 3 times while labelling" in done.stdout


@pytest.mark.parametrize("loss", ["label", "picture", "half"])
def test_a_loss_would_be_seen(loss: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    files = kills._pictures(seen)
    journal = kills.Journal({file: {""} for file in files}, {file: {True} for file in files})
    kills.check(seen, journal)
    if loss == "label":
        with journal.of("label", files[:1], "cup"):
            pass
    elif loss == "picture":
        (seen / files[3]).unlink()
    else:
        (seen / files[3]).write_bytes((seen / files[3]).read_bytes()[:200])
    with pytest.raises(AssertionError):
        kills.check(seen, journal)
