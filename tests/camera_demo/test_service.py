"""The service: its unit by systemd's own judgement, its settings, its signs of life, and its installer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from camera_demo.config import read_config
from camera_demo.settings import Settings
from camera_demo.systemd import Notifier
from edge.fleet.timer import units_folder

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "camera_demo/service/mobilenet-edge.service"
CONFIG = ROOT / "camera_demo/service/config.toml"
INSTALLER = ROOT / "scripts/install-service"
UNITS = (*UNIT.parent.glob("*.service"), *UNIT.parent.glob("*.timer"), *units_folder().iterdir())
MAX_EXPOSURE = {
    "mobilenet-edge.service": 1.6,
    "mobilenet-edge-send.service": 2.5,
    "mobilenet-edge-follow.service": 2.5,
}

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze not found")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = re.sub(r"/opt/mobilenet-edge/bin/[\w-]+", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_the_units_little_exposed() -> None:
    names = [str(unit) for unit in UNITS if unit.name in MAX_EXPOSURE]
    command = ["systemd-analyze", "security", "--offline=true", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    levels = dict(re.findall(r"Overall exposure level for (\S+): ([\d.]+)", done.stdout))
    if not levels:
        pytest.skip("this systemd judges no unit files")
    assert levels.keys() == MAX_EXPOSURE.keys()
    assert not {name for name, level in levels.items() if float(level) > MAX_EXPOSURE[name]}, levels


def test_the_shipped_settings_are_read_and_name_every_key(tmp_path: Path) -> None:
    assert read_config(CONFIG)["wait"] is True
    uncommented = tmp_path / "all.toml"
    text, _, action = CONFIG.read_text().partition("# [[action]]\n")
    lines = [re.sub(r"^# (?=[a-z_]+ = )", "", line) for line in text.splitlines()]
    once = {line.partition(" = ")[0]: line for line in lines if re.match(r"[a-z_]+ = ", line)}
    table = [line.removeprefix("# ") for line in action.splitlines()]
    uncommented.write_text("\n".join([*once.values(), "[[action]]", *table]))
    known = {field.name for field in fields(Settings)} - {"budget_ms"}
    assert set(read_config(uncommented)) == known
    Settings(**read_config(uncommented) | {"token": "long enough"})
    assert "budget_ms" in CONFIG.read_text()


def test_the_unit_reads_what_the_installer_writes() -> None:
    text = UNIT.read_text()
    for line in (
        "Type=notify",
        "ExecStart=/opt/mobilenet-edge/bin/camera-demo --config /etc/mobilenet-edge/config.toml",
        "User=mobilenet-edge",
        "SupplementaryGroups=video render",
        "StateDirectory=mobilenet-edge/state",
        "Restart=on-failure",
        "SuccessExitStatus=143",
        "StartLimitIntervalSec=0",
        "MemoryMax=75%",
        "TasksMax=128",
        "LogRateLimitBurst=300",
        "EnvironmentFile=-/etc/mobilenet-edge/secrets",
        "WatchdogSec=30",
    ):
        assert line in text.splitlines()


@pytest.fixture
def channel(tmp_path: Path) -> socket.socket:
    """systemd's end."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(tmp_path / "notify"))
    made.settimeout(60)
    return made


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which does not outlive a test that fails."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_systemd_is_notified_of_start_life_and_end(tmp_path: Path, channel: socket.socket, bundle_folder: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'input = "synthetic:64x64"\noutputs = ["json:{tmp_path / "answers.jsonl"}"]\nbundle = "{bundle_folder}"\n'
        'variant = "0.25_128"\nbackend = "fake"\nthreads = 1\nlog_format = "json"\n'
    )
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    command = [sys.executable, "-m", "camera_demo", "--config", str(config), "--top-k", "3"]
    with ended(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)) as process:
        assert channel.recv(1000) == b"READY=1\nSTATUS=classifying synthetic:64x64@30"
        start_s = time.monotonic()
        assert [channel.recv(1000) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        assert time.monotonic() - start_s > 0.3, "each fifth of a second"
        process.send_signal(signal.SIGTERM)
        said = [channel.recv(1000)]
        while said[-1] == b"WATCHDOG=1":
            said.append(channel.recv(1000))
        assert said[-1] == b"STOPPING=1"
        errors = process.communicate(timeout=10)[1]
    channel.close()
    lines = [json.loads(line) for line in errors.splitlines()]
    assert process.returncode == 0
    assert {"time", "level", "message"} <= lines[-1].keys()
    assert lines[-1]["message"] == "mobilenet_v1_0.25_128 on fake (fake 1, 1 thread)"
    first = (tmp_path / "answers.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["frame"] == 0, "the file's outputs are used where the command names none"


def test_a_service_that_cannot_start_says_why_in_json_and_fails(bundle_folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "camera_demo",
        "nowhere.mp4",
        "--log-format",
        "json",
        "--bundle",
        str(bundle_folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert (line["level"], line["event"]) == ("error", "failed")
    assert line["message"].startswith("There is no file or folder 'nowhere.mp4'")


def test_outside_of_systemd_nothing_is_said() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    notifier.beat()
    notifier.stopping()


def test_a_systemd_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1"}).beat()


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the installer on a folder that stands for the system, whose commands only write down their arguments."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("systemctl", "useradd", "userdel", "chown"):
        (tools / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >>"{tmp_path}/called"\n')
    (tools / "getent").write_text("#!/bin/sh\nexit 2\n")
    (tools / "id").write_text("#!/bin/sh\necho 0\n")
    for file in tools.iterdir():
        file.chmod(0o755)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MNE_ROOT": str(tmp_path / "root")}
        return subprocess.run(
            ["sh", str(INSTALLER), *arguments], env=environment, capture_output=True, text=True, timeout=60
        )

    return run


def test_the_installer_says_what_it_would_do_and_changes_nothing(
    system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = system("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "useradd --system" in done.stdout and "systemctl restart mobilenet-edge" in done.stdout
    assert not (tmp_path / "root").exists() and not (tmp_path / "called").exists()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose ``install.sh`` only writes down that it was called."""
    project, home = tmp_path / "project", tmp_path / "root/opt/mobilenet-edge"
    (project / "scripts").mkdir(parents=True)
    (project / "camera_demo").mkdir()
    shutil.copy(INSTALLER, project / "scripts")
    shutil.copytree(UNIT.parent, project / "camera_demo/service")
    shutil.copytree(ROOT / "edge/fleet/service", project / "edge/fleet/service")
    (project / "install.sh").write_text(f'#!/bin/sh\necho "install.sh $*" >>"{tmp_path}/called"\nmkdir -p "{home}"\n')
    (project / "install.sh").chmod(0o755)
    monkeypatch.setattr("tests.camera_demo.test_service.INSTALLER", project / "scripts/install-service")
    return project


def test_the_installer_keeps_settings_and_can_be_undone(
    project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    home = tmp_path / "root/opt/mobilenet-edge"
    settings = tmp_path / "root/etc/mobilenet-edge/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("mine")
    done = system("--offline", "wheels here")
    assert done.returncode == 0, done.stderr
    assert settings.read_text() == "mine"
    assert (settings.parent / "secrets").stat().st_mode & 0o777 == 0o600
    assert settings.stat().st_mode & 0o777 == 0o640
    assert settings.parent.stat().st_mode & 0o777 == 0o750
    unit = tmp_path / "root/etc/systemd/system/mobilenet-edge.service"
    assert unit.read_text() == UNIT.read_text()
    called = (tmp_path / "called").read_text().splitlines()
    assert called[0] == f"install.sh --yes --with live --prefix {home} --offline wheels here"
    state = tmp_path / "root/var/lib/mobilenet-edge"
    assert called[2:-3] == [
        f"chown root:mobilenet-edge {settings.parent} {settings}",
        f"chown -h root:root {state}",
        f"chown -h mobilenet-edge:mobilenet-edge {state}/state",
    ]
    assert (state.stat().st_mode & 0o777, (state / "state").stat().st_mode & 0o777) == (0o755, 0o700)
    assert called[-3:] == [
        "systemctl daemon-reload",
        "systemctl enable mobilenet-edge",
        "systemctl restart mobilenet-edge",
    ]
    assert system("--uninstall").returncode == 0
    assert not unit.exists() and not home.exists() and settings.exists()


def test_the_installer_takes_the_state_folder_from_the_service_and_keeps_profiles(
    project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    state = tmp_path / "root/var/lib/mobilenet-edge"
    (state / "profiles").mkdir(parents=True)
    (state / "profiles/board.json").write_text("measured")
    assert system().returncode == 0
    assert (state / "state/mobilenet-edge/profiles/board.json").read_text() == "measured"
    assert not (state / "profiles").exists()
    called = (tmp_path / "called").read_text().splitlines()
    first, stop = called.index(f"chown -h root:root {state}"), called.index("systemctl stop mobilenet-edge")
    assert stop < first, "the service must not make links meanwhile"
    assert f"chown -hR mobilenet-edge:mobilenet-edge {state}/state/mobilenet-edge" in called


def test_the_installer_refuses_a_state_folder_that_is_a_link(
    project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    state, elsewhere = tmp_path / "root/var/lib/mobilenet-edge", tmp_path / "elsewhere"
    elsewhere.mkdir()
    state.parent.mkdir(parents=True)
    state.symlink_to(elsewhere)
    done = system()
    assert done.returncode == 1
    assert done.stderr == f"install-service: {state} is a link: replace it by a folder that belongs to root.\n"
    assert list(elsewhere.iterdir()) == []


class TestChannel:
    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        (tmp_path / "birds.pub").write_text("public")
        return tmp_path / "birds.pub"

    def test_a_timer_follows_it(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, key: Path
    ) -> None:
        from edge.fleet.config import configured_channel

        etc, units = tmp_path / "root/etc/mobilenet-edge", tmp_path / "root/etc/systemd/system"
        done = system("--channel", "https://example.com/birds/channel.json", "--key", str(key))
        assert done.returncode == 0, done.stderr
        config = configured_channel(system=tmp_path / "root/etc")
        assert config.url == "https://example.com/birds/channel.json"
        assert (etc / "channel.toml").stat().st_mode & 0o777 == 0o640
        assert (etc / "channel.pub").read_text() == "public"
        called = (tmp_path / "called").read_text().splitlines()
        assert "--with live,signing" in called[0]
        assert "systemctl enable mobilenet-edge-follow.timer mobilenet-edge-follow.path" in called
        assert called[-1] == "systemctl restart mobilenet-edge-follow.timer mobilenet-edge-follow.path"
        assert {path.name for path in units.iterdir()} == {
            "mobilenet-edge.service",
            "mobilenet-edge-follow.service",
            "mobilenet-edge-follow.timer",
            "mobilenet-edge-follow.path",
        }

        (etc / "channel.toml").write_text('url = "https://old/c.json"\nboard = "attic"\n[more]\n')
        assert system("--channel", "https://new/c.json").returncode == 0
        assert (etc / "channel.toml").read_text().splitlines()[1:] == [
            'url = "https://new/c.json"',
            'board = "attic"',
            "[more]",
        ]
        (tmp_path / "called").unlink()
        assert system("--no-start").returncode == 0, "an update goes on following"
        assert "systemctl enable mobilenet-edge-follow.timer" in (tmp_path / "called").read_text()
        assert "restart" not in (tmp_path / "called").read_text()

    def test_uninstalling_stops_the_timer_and_the_step_before_their_code_goes(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, key: Path
    ) -> None:
        system("--channel", "https://example.com/c.json", "--key", str(key))
        (tmp_path / "called").unlink()
        done = system("--uninstall")
        assert done.returncode == 0
        called = (tmp_path / "called").read_text().splitlines()
        assert called[:2] == [
            "systemctl disable --now mobilenet-edge-follow.timer mobilenet-edge-follow.path",
            "systemctl stop mobilenet-edge-follow.service",
        ]
        assert list((tmp_path / "root/etc/systemd/system").iterdir()) == []
        assert (tmp_path / "root/etc/mobilenet-edge/channel.toml").exists()
        steps = done.stdout.splitlines()
        assert steps.index("  systemctl stop mobilenet-edge-follow.service") < steps.index(
            f"  rm -rf {tmp_path}/root/opt/mobilenet-edge"
        )

    def test_what_makes_no_sense_is_refused_before_anything_is_done(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        for arguments, message in (
            (("--channel", 'https://x/"\nkey = "y'), "Invalid --channel"),
            (("--channel", "https://x/c.json"), "not followed without a key: give --key FILE"),
            (("--channel", "https://x/c.json", "--key", str(tmp_path / "none")), "There is no key"),
            (("--channel",), "--channel needs a value"),
        ):
            done = system(*arguments)
            assert done.returncode in (1, 2)
            assert message in done.stderr
        assert not (tmp_path / "called").exists()


class TestSending:
    TARGET = "me@nas:pictures/the attic"

    def test_a_timer_sends_pictures(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        file, units = tmp_path / "root/etc/mobilenet-edge/send", tmp_path / "root/etc/systemd/system"
        done = system("--send", self.TARGET)
        assert done.returncode == 0, done.stderr
        lines = file.read_text().splitlines()
        assert lines[1:3] == [f'SEND_TO="{self.TARGET}"', "SEND_DIR=/var/lib/mobilenet-edge/state/seen"]
        assert file.stat().st_mode & 0o777 == 0o600, "a token may stand in it"
        called = (tmp_path / "called").read_text().splitlines()
        assert "systemctl enable mobilenet-edge-send.timer" in called
        assert called[-1] == "systemctl restart mobilenet-edge-send.timer"
        assert {path.name for path in units.iterdir()} == {
            "mobilenet-edge.service",
            "mobilenet-edge-send.service",
            "mobilenet-edge-send.timer",
        }
        for name in ("mobilenet-edge-send.service", "mobilenet-edge-send.timer"):
            assert (units / name).read_text() == (UNIT.parent / name).read_text()
        assert "add collect:/var/lib/mobilenet-edge/state/seen to the outputs" in done.stdout

    def test_what_was_configured_stays(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        etc = tmp_path / "root/etc/mobilenet-edge"
        etc.mkdir(parents=True)
        (etc / "config.toml").write_text('outputs = ["collect:/var/lib/mobilenet-edge/state/seen"]\n')
        (etc / "send").write_text("SEND_DIR=/elsewhere\nSEND_TO=old:place\nSEND_TOKEN=secret\n")
        done = system("--send", self.TARGET, "--no-start")
        assert done.returncode == 0 and "collect:" not in done.stdout
        after = (etc / "send").read_text()
        assert after.splitlines()[1:] == [f'SEND_TO="{self.TARGET}"', "SEND_DIR=/elsewhere", "SEND_TOKEN=secret"]
        assert "restart" not in (tmp_path / "called").read_text()
        (tmp_path / "called").unlink()
        assert system().returncode == 0, "an update goes on sending"
        assert (tmp_path / "called").read_text().endswith("systemctl restart mobilenet-edge-send.timer\n")
        assert (etc / "send").read_text() == after

    def test_uninstalling_stops_the_timer_and_what_it_started_before_their_code_goes(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        system("--send", self.TARGET)
        (tmp_path / "called").unlink()
        done = system("--uninstall")
        assert done.returncode == 0
        assert (tmp_path / "called").read_text().splitlines()[:2] == [
            "systemctl disable --now mobilenet-edge-send.timer",
            "systemctl stop mobilenet-edge-send.service",
        ]
        assert list((tmp_path / "root/etc/systemd/system").iterdir()) == []
        assert (tmp_path / "root/etc/mobilenet-edge/send").exists()
        steps = done.stdout.splitlines()
        assert steps.index("  systemctl stop mobilenet-edge-send.service") < steps.index(
            f"  rm -rf {tmp_path}/root/opt/mobilenet-edge"
        )

    @pytest.mark.parametrize("target", ["nowhere", ":", "nas:", 'x:"y', "x:\\y", "x:y\nSEND_DIR=/", "-e:sh"])
    def test_no_target_is_refused_before_anything_is_done(
        self, project: Path, system: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, target: str
    ) -> None:
        done = system("--send", target)
        assert done.returncode == 1
        assert done.stderr.startswith("install-service: Invalid --send: ") and done.stderr.count("\n") == 1
        assert not (tmp_path / "called").exists()


def test_an_unknown_option_is_refused(system: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = system("--force")
    assert (done.returncode, done.stderr) == (2, "install-service: unknown option '--force': see --help.\n")
