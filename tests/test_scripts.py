"""Every script can be run, and shellcheck finds nothing in those for the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def scripts() -> list[Path]:
    """What stands in the root and in ``scripts`` to be called by name."""
    folder = sorted((ROOT / "scripts").iterdir())
    return [ROOT / "install.sh", ROOT / ".ci/run", *(path for path in folder if not path.suffix and path.is_file())]


def test_every_script_can_be_run() -> None:
    assert len(scripts()) > 8
    for script in scripts():
        assert os.access(script, os.X_OK), script


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    shell = [str(path) for path in scripts() if path.read_text().partition("\n")[0].endswith("sh")]
    result = subprocess.run(["shellcheck", *shell], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")
