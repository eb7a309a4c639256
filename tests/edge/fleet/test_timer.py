"""The units that repeat the step, and their installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import OutputError
from edge.fleet.timer import UNITS, install_units, uninstall_units, units_folder

SERVICE, TIMER, PATH = (units_folder() / name for name in UNITS)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A ``systemctl`` that only writes down what it is told; root runs it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/called"\n')
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "root/etc/systemd/system").mkdir(parents=True)
    return lambda: (tmp_path / "called").read_text().splitlines()


def test_the_boards_of_a_fleet_do_not_come_at_once() -> None:
    lines = TIMER.read_text().splitlines()
    assert "RandomizedDelaySec=5min" in lines
    assert "OnCalendar=*:0/10" in lines
    assert "WantedBy=timers.target" in lines


def test_the_service_takes_one_step_and_does_nothing_without_a_channel() -> None:
    lines = SERVICE.read_text().splitlines()
    for line in (
        "Type=oneshot",
        "ExecStart=/opt/mobilenet-edge/bin/edge channel follow",
        "ConditionPathExists=/etc/mobilenet-edge/channel.toml",
        "StateDirectory=mobilenet-edge",
        "ProtectSystem=strict",
        "EnvironmentFile=-/etc/mobilenet-edge/secrets",
    ):
        assert line in lines


def test_they_run_the_installation_they_came_with(tmp_path: Path, systemctl: Callable[[], list[str]]) -> None:
    install_units(tmp_path / "root")
    folder = tmp_path / "root/etc/systemd/system"
    assert {path.name for path in folder.iterdir()} == set(UNITS)
    program = Path(sys.executable).with_name("edge")
    assert f"ExecStart={program} channel follow" in (folder / SERVICE.name).read_text().splitlines()
    assert systemctl() == ["daemon-reload", f"enable --now {TIMER.name} {PATH.name}"]
    (tmp_path / "called").unlink()
    uninstall_units(tmp_path / "root")
    assert list(folder.iterdir()) == []
    assert systemctl() == [
        f"disable --now {TIMER.name}",
        f"disable --now {PATH.name}",
        f"stop {SERVICE.name}",
        "daemon-reload",
    ]
    uninstall_units(tmp_path / "root")


def test_who_cannot_install_them_is_told_why(
    tmp_path: Path, systemctl: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools/systemctl").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    with pytest.raises(OutputError, match="daemon-reload failed: no bus"):
        install_units(tmp_path / "root")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OutputError, match="run it with sudo"):
        install_units(tmp_path / "root")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="repeat edge channel follow by cron, or use --watch"):
        install_units(tmp_path / "root")
