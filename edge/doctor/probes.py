"""How this very machine is asked; tests ask others."""

from __future__ import annotations

import grp
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final, Protocol

from edge.child_command import child_command

__all__ = [
    "BackendReport",
    "backend_reports",
    "c_library",
    "folder_of",
    "free_mb",
    "import_reason",
    "installed_version",
    "may_open",
    "opencv_build",
    "own_groups",
    "self_test",
]

_SELF_TEST_S: Final = 180.0


class BackendReport(Protocol):
    """What a backend says of itself, see :func:`edge.inference.backends.backend_reports`."""

    @property
    def name(self) -> str:
        """The backend's name."""

    @property
    def is_available(self) -> bool:
        """Whether it can be used here."""

    @property
    def detail(self) -> str:
        """Its version, or the reason why not."""


def import_reason(module: str) -> str | None:
    """Import a module; the reason on one line if that fails, which broken binaries do in many ways."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as reason:  # noqa: BLE001 - a broken binary may raise anything
        return str(reason).strip().partition("\n")[0] or type(reason).__name__
    return None


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def folder_of(distribution: str) -> Path | None:
    """Where an installed distribution's files are, None if it is not installed."""
    try:
        return Path(str(importlib.metadata.distribution(distribution).locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        return None


def backend_reports() -> tuple[BackendReport, ...]:
    """What the backends say; they are imported only now, because a broken NumPy or OpenCV stops them."""
    from edge.inference.backends import backend_reports as reports

    return reports()


def opencv_build() -> str:
    """What OpenCV says of how it was built; empty where it cannot be imported."""
    try:
        return str(importlib.import_module("cv2").getBuildInformation())
    except (Exception, SystemExit):  # noqa: BLE001 - a broken binary may raise anything
        return ""


def self_test(bundle: str) -> tuple[bool, str]:
    """Load every variant of a bundle and hold its answers against the golden ones.

    In a process of its own, for a library that was built for another CPU ends the process that runs it.

    Returns:
        Whether all is right, and what was tested or what is wrong.
    """
    command = child_command("edge", "bundle", "verify", bundle, "--json")
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SELF_TEST_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as reason:
        return False, f"The self-test could not be run: {reason}"
    if done.returncode < 0:
        return False, f"The self-test was ended by {signal.Signals(-done.returncode).name}."
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return False, lines[-1].removeprefix("edge: ")
    tested = json.loads(done.stdout)["tested"]
    return (
        True,
        f"{tested} variants gave the golden answers" if tested else "whole; it has no golden pictures to test with",
    )


def may_open(path: Path) -> bool:
    """Whether this user may read and write ``path``."""
    return os.access(path, os.R_OK | os.W_OK)


def free_mb(folder: Path) -> int:
    """Free space on the disk of ``folder``, in units of 10⁶ bytes."""
    return shutil.disk_usage(folder).free // 10**6


def c_library() -> tuple[str, str]:
    """Name and version of the C library: ``("glibc", "2.36")``; empty where it is unknown."""
    return platform.libc_ver()


def own_groups() -> frozenset[str] | None:
    """The names of this process's groups; None for root, who needs none."""
    if os.geteuid() == 0:
        return None
    names = set()
    for number in {os.getegid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)
