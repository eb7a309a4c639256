"""Refusing takes little memory: some of the cases that ``python -m scripts.refusals`` measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cv2")


@pytest.mark.parametrize(
    "case", ["manifest: 3.9 MB of objects", "profile: a sparse", "configuration: a sparse", "archive: deflate"]
)
def test_a_refusal_takes_at_most_200_mb(case: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.refusals", "--only", case], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"  {case}")
