"""Packages fetched on one machine for another, and installing without a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.install.machine import Machine, made

pytestmark = pytest.mark.usefixtures("sources")


def fetch(machine: Machine, target: str, folder: Path, *options: str, **environ: str) -> list[str]:
    """Make a wheelhouse, and give the calls that it took."""
    result = machine.install("--make-wheelhouse", target, str(folder), *options, **environ)
    assert (result.returncode, result.stderr) == (0, "")
    return machine.calls()


@pytest.mark.parametrize(
    ("target", "python", "glibc", "numpies"),
    [("pi-bookworm", 11, 36, 2), ("pi-trixie", 13, 40, 1), ("jetpack6", 10, 35, 2), ("jetpack7", 12, 39, 2)],
)
def test_packages_are_resolved_and_fetched_for_the_target(
    machine: Machine, tmp_path: Path, target: str, python: int, glibc: int, numpies: int
) -> None:
    calls = fetch(machine, target, tmp_path / "wheels")
    fetched = [call for call in calls if call.startswith("pip as")]
    assert len(fetched) == numpies, "NumPy 1 too where the system may hold it"
    for call in fetched:
        assert call.startswith(f"pip as 3.{python} download ")
        assert f"--python-version 3.{python} --constraint scripts/constraints.txt --abi cp3{python} --abi abi3" in call
        assert f"--platform manylinux_2_{glibc}_aarch64" in call and "--platform manylinux_2_17_aarch64" in call
        assert f"manylinux_2_{glibc + 1}_" not in call
        assert "/source[litert,headless,desktop,live] numpy" in call
    assert {path.name for path in (tmp_path / "wheels").iterdir()} == {
        "SHA256SUMS",
        "numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl",
        "wheelhouse.txt",
    }
    assert (tmp_path / "wheels/wheelhouse.txt").read_text() == f"{target} 3.{python} live\n"
    assert hashlib.sha256(b"wheel\n").hexdigest() in (tmp_path / "wheels/SHA256SUMS").read_text()
    assert not (machine.project / ".venv").exists() and not (tmp_path / "wheels.part").exists()


def test_an_older_wheelhouse_gives_way_and_other_folders_stay(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    fetch(machine, "pi-bookworm", folder)
    (folder / "older.whl").touch()
    fetch(machine, "pi-bookworm", folder, "--with", "convert")
    assert not (folder / "older.whl").exists()
    assert (folder / "wheelhouse.txt").read_text() == "pi-bookworm 3.11 convert live\n"
    (folder / "wheelhouse.txt").unlink()
    refusal = f"{folder} holds something else: expected a name that is free, or an older wheelhouse."
    machine.fails(refusal, "--make-wheelhouse", "pi-bookworm", str(folder))


def test_a_failure_leaves_no_wheelhouse(machine: Machine, tmp_path: Path) -> None:
    options = ("--make-wheelhouse", "pi-bookworm", str(tmp_path / "wheels"))
    machine.fails(
        f"pip could not fetch the packages: see above, and the whole log in {tmp_path}/wheels.log.",
        *options,
        FAKE_PIP_SAYS="something",
    )
    assert not (tmp_path / "wheels").exists() and not (tmp_path / "wheels.part").exists()


@pytest.fixture
def wheelhouse(machine: Machine, tmp_path: Path) -> Path:
    """One for Bookworm, with the part live."""
    fetch(machine, "pi-bookworm", tmp_path / "wheels")
    return tmp_path / "wheels"


def test_offline_asks_no_index(machine: Machine, wheelhouse: Path) -> None:
    assert machine.install("--offline", str(wheelhouse)).returncode == 0
    calls = machine.calls()
    assert calls[:3] == made(others=f" --no-index --find-links {wheelhouse}")
    assert calls[3:] == ["edge doctor"]


def test_a_wheelhouse_for_another_python_is_refused(machine: Machine, wheelhouse: Path) -> None:
    machine.python(minor=13)
    machine.fails(
        f"{wheelhouse} is for pi-bookworm (Python 3.11, 64-bit Arm), and this machine has Python 3.13, 64-bit, "
        "aarch64: make one for it.",
        "--offline",
        str(wheelhouse),
    )
    assert not (machine.project / ".venv").exists()


def test_a_wheelhouse_without_a_part_is_refused(machine: Machine, wheelhouse: Path) -> None:
    refusal = f"{wheelhouse} lacks the part convert: make it again with --with convert."
    machine.fails(refusal, "--offline", str(wheelhouse), "--with", "convert,live")


def test_a_folder_that_is_no_wheelhouse_is_refused(machine: Machine, tmp_path: Path) -> None:
    refusal = "is not a wheelhouse: expected a folder made by ./install.sh --make-wheelhouse TARGET DIR."
    machine.fails(f"{tmp_path}/none {refusal}", "--offline", str(tmp_path / "none"))


@pytest.mark.parametrize("damage", ["cut", "lost"])
def test_a_damaged_wheelhouse_is_refused(machine: Machine, wheelhouse: Path, damage: str) -> None:
    wheel = next(wheelhouse.glob("*.whl"))
    wheel.write_text("whe") if damage == "cut" else wheel.unlink()
    machine.fails(
        f"{wheelhouse} is damaged: a file is missing or differs from SHA256SUMS. Copy it again.",
        "--offline",
        str(wheelhouse),
    )


def test_a_wheelhouse_that_lacks_a_package_is_told(machine: Machine, wheelhouse: Path) -> None:
    machine.fails(
        f"pip could not install the packages: {wheelhouse} lacks a package. Make it again from this very version.",
        "--offline",
        str(wheelhouse),
        FAKE_PIP_SAYS="ERROR: No matching distribution found for typer>=1",
    )
