"""The examination: every check in order, over a machine of which each part can be replaced."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from edge.commands import Run, run_command
from edge.device import Device, describe
from edge.doctor import hardware, software
from edge.doctor.finding import BackendReport, Finding, Surroundings
from edge.health import read_health

__all__ = ["CHECKS", "examine"]

CHECKS: Final[tuple[Callable[[Surroundings], Iterator[Finding]], ...]] = (
    software.python,
    software.numpy,
    software.opencv,
    software.backends,
    software.jetson,
    hardware.cameras,
    hardware.display,
    hardware.throttling,
    hardware.heat,
    hardware.clocks,
    hardware.memory,
    hardware.disk,
)
"""Every check, in the order of the report; one may find nothing, or several things."""


def import_reason(module: str) -> str | None:
    """Import a module; the reason on one line if that fails, which broken binaries do in many ways."""
    try:
        importlib.import_module(module)
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError, ValueError) as reason:
        return str(reason).strip().partition("\n")[0] or type(reason).__name__
    return None


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def reports() -> tuple[BackendReport, ...]:
    """What the backends say; they are imported only now, because a broken NumPy or OpenCV stops them."""
    from edge.backends import backend_reports

    return backend_reports()


def may_open(path: Path) -> bool:
    """Whether this user may read and write ``path``."""
    return os.access(path, os.R_OK | os.W_OK)


def free_mb(folder: Path) -> int:
    """Free space on the disk of ``folder``, in units of 10⁶ bytes."""
    return shutil.disk_usage(folder).free // 10**6


def examine(
    root: Path = Path("/"),
    *,
    run: Run = run_command,
    environ: Mapping[str, str] | None = None,
    prefix: Path | None = None,
    device: Device | None = None,
    import_check: Callable[[str], str | None] = import_reason,
    version_of: Callable[[str], str | None] = installed_version,
    backends: Callable[[], tuple[BackendReport, ...]] = reports,
    can_open: Callable[[Path], bool] = may_open,
    free_mb: Callable[[Path], int] = free_mb,
) -> tuple[Finding, ...]:
    """Look at everything the runtime needs.

    Args:
        root: Where ``proc``, ``sys``, ``etc`` and ``dev`` are.
        run: Runs ``vcgencmd`` and ``nvpmodel``.
        environ: Environment variables; this process's without it.
        prefix: Folder of the Python environment; this interpreter's without it.
        device: The machine; the one described below ``root`` without it.
        import_check: Imports a module, gives the reason if that fails.
        version_of: Version of an installed distribution, or None.
        backends: What the inference backends say of themselves.
        can_open: Whether this user may use a device node.
        free_mb: Free space of a folder's disk, in units of 10⁶ bytes.

    Returns:
        What was found, in the order of :data:`CHECKS`.
    """
    surroundings = Surroundings(
        root=root,
        device=device or describe(root),
        health=read_health(root, run, lambda: None),
        environ=os.environ if environ is None else environ,
        prefix=prefix or Path(sys.prefix),
        import_check=import_check,
        version_of=version_of,
        backends=backends,
        can_open=can_open,
        free_mb=free_mb,
    )
    return tuple(finding for check in CHECKS for finding in check(surroundings))
