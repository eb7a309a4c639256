"""The tree is clean by ruff and mypy --strict: what ``scripts/check`` says."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.long
def test_the_tree_is_lint_and_type_clean() -> None:
    missing = [tool for tool in ("ruff", "mypy", "torch") if importlib.util.find_spec(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: ./install.sh --test installs them")
    if not (ROOT / ".venv/bin/python").exists():
        pytest.skip("scripts/check takes its tools from .venv, which is not there")
    done = subprocess.run([ROOT / "scripts/check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
