"""A fake machine to install on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.machine import Machine

PI: dict[str, str] = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "proc/meminfo": "MemTotal:        8245392 kB\nSwapTotal:        204784 kB\n",
    "usr/lib/aarch64-linux-gnu/girepository-1.0/GstRtspServer-1.0.typelib": "",
    "usr/lib/aarch64-linux-gnu/libGL.so.1": "",
    "dev/video0": "",
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Raspberry Pi 5 with Python 3.11, and what tests run against, so that nobody wants to install it."""
    machine = Machine(tmp_path)
    machine.has(PI)
    machine.python()
    machine.command("df", "#!/bin/sh\necho head\necho /dev/root 60000000 20000000 40000000 33% /\n")
    for tool in ("shellcheck", "mosquitto", "chromium", "chromedriver", "gst-launch-1.0"):
        machine.command(tool, "#!/bin/sh\n")
    return machine


@pytest.fixture
def sources(machine: Machine) -> Path:
    """A project with something to copy."""
    for part in ("edge", "convert", "camera_demo", "profiles"):
        (machine.project / part).mkdir()
        (machine.project / part / "x.py").touch()
    for name in ("README.md", "LICENSE", "NOTICE"):
        (machine.project / name).touch()
    return machine.project
