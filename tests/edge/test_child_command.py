"""Child processes run our modules, wherever they are started."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from edge.child_command import child_command
from edge.doctor.probes import self_test


@pytest.fixture
def other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is one with modules of our names and of the standard library's."""
    for name in ("edge/__init__", "edge/__main__", "edge/files", "json", "runpy"):
        module = tmp_path / f"{name}.py"
        module.parent.mkdir(exist_ok=True)
        module.write_text("raise SystemExit('a module of the current folder')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_of_ours_is_run_with_its_arguments(other_folder: Path) -> None:
    done = subprocess.run(child_command("edge", "--version"), capture_output=True, text=True, check=False)
    assert (done.stdout.split()[-1], done.stderr, done.returncode) == (version("mobilenet-edge"), "", 0)


def test_the_self_test_is_ours(other_folder: Path) -> None:
    is_right, told = self_test("none-such")
    assert not is_right and told.startswith("There is no bundle none-such: ")
