"""The units of systemd that repeat the step, and take one when asked to: put in place, and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from edge.errors import OutputError
from edge.files import write_atomically

__all__ = ["UNITS", "install_units", "uninstall_units", "units_folder"]

_SERVICE: Final = "mobilenet-edge-follow.service"
_STARTERS: Final = ("mobilenet-edge-follow.timer", "mobilenet-edge-follow.path")
"""What starts the service: time, and a request (:mod:`edge.fleet.requests`)."""
UNITS: Final = (_SERVICE, *_STARTERS)
_PROGRAM: Final = "/opt/mobilenet-edge/bin/edge"
"""What the service runs where ``scripts/install-service`` put it."""


def units_folder() -> Path:
    """Where the units are in the package."""
    return Path(__file__).with_name("service")


def install_units(root: Path = Path("/")) -> None:
    """Write the units, for the installation that runs now, and start what starts them.

    Args:
        root: The folder that stands in for ``/``.

    Raises:
        OutputError: They cannot be written, or there is no systemd.
    """
    systemctl = _systemctl()
    program = str(Path(sys.executable).with_name("edge"))
    folder = root / "etc/systemd/system"
    for name in UNITS:
        text = (units_folder() / name).read_text(encoding="utf-8")
        write_atomically(folder / name, text.replace(_PROGRAM, program))
    _run(systemctl, "daemon-reload")
    _run(systemctl, "enable", "--now", *_STARTERS)


def uninstall_units(root: Path = Path("/")) -> None:
    """Stop the timer and the watch for requests, and the step that runs, and remove the units.

    Args:
        root: The folder that stands in for ``/``.

    Raises:
        OutputError: They cannot be removed, or there is no systemd.
    """
    systemctl, folder = _systemctl(), root / "etc/systemd/system"
    for name in _STARTERS:
        if (folder / name).exists():
            _run(systemctl, "disable", "--now", name)
    if (folder / _SERVICE).exists():
        _run(systemctl, "stop", _SERVICE)
    for name in UNITS:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as reason:
            raise OutputError(f"Cannot remove {folder / name}: run it with sudo.") from reason
    _run(systemctl, "daemon-reload")


def _systemctl() -> str:
    found = shutil.which("systemctl")
    if found is None:
        raise OutputError("systemctl not found: without systemd, repeat edge channel follow by cron, or use --watch.")
    if os.geteuid() != 0:
        raise OutputError("This changes the system: run it with sudo.")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OutputError(f"{' '.join(command[:3])} failed: {' '.join(done.stderr.split())[:200]}")
