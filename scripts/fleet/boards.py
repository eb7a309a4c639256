"""A simulated board: a folder that stands in for its disk, a name, and the commands that a real one runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edge.bundles.bundle import open_bundle
from edge.bundles.registry import find_installed
from edge.fleet.health_minute import HealthMinute, VariantMinute
from edge.fleet.health_record import NAME as RECORD
from edge.fleet.health_record import add_minute
from edge.fleet.state import FollowState, read_state
from scripts.fleet.bundles import NAME
from scripts.fleet.edge_command import EdgeCommand, RunningCommand

__all__ = ["BUDGET_MS", "SLOW", "Board", "Step"]

BUDGET_MS: Final = 2.0
SLOW: Final = "0.50_224"
"""The variant that does not keep the budget here."""
_USUAL_MS: Final = 0.5
_SLOW_MS: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one ``edge channel follow`` came to."""

    code: int
    message: str
    """The last line of stderr."""


@dataclass(slots=True, kw_only=True)
class Board:
    """One board."""

    id: str
    root: Path
    url: str
    """Of the channel's file."""
    keys: Path
    """A folder with ``channel.pub`` and ``bundle.pub``."""
    broker: str
    port: int
    """Of its page."""
    edge: EdgeCommand
    _camera: subprocess.Popen[bytes] | None = field(default=None)

    def __post_init__(self) -> None:
        config = self.root / "config" / "mobilenet-edge"
        config.mkdir(parents=True)
        for key in ("channel.pub", "bundle.pub"):
            shutil.copy(self.keys / key, config)
        (config / "channel.toml").write_text(
            f'url = "{self.url}"\nboard = "{self.id}"\nbroker = "{self.broker}"\nkey = "{config / "channel.pub"}"\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes the commands take the folder for the board's disk."""
        places = {f"XDG_{name.upper()}_HOME": str(self.root / name) for name in ("data", "config", "state", "cache")}
        return os.environ | places | {"HOME": str(self.root), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "400"}

    @property
    def data(self) -> Path:
        """The folder of the state and the bundles."""
        return self.root / "data" / "mobilenet-edge"

    @property
    def state(self) -> FollowState | None:
        """What the board knows of its channel."""
        return read_state(self.data)

    @property
    def version(self) -> str | None:
        """The version in use, which is opened and held against its manifest; None before the first."""
        installed = find_installed(NAME, (self.data / "bundles",))
        if installed is None or installed.active is None:
            return None
        open_bundle(installed.folder(installed.active))
        return installed.active

    def begin_step(self) -> RunningCommand:
        """Start ``edge channel follow``, as the timer does."""
        return self.edge.begin("channel", "follow", environment=self.environment)

    def end_step(self, running: RunningCommand) -> Step:
        """Wait for it."""
        done = running.end()
        return Step(code=done.returncode, message=(done.stderr or done.stdout).strip().rpartition("\n")[2])

    def step(self) -> Step:
        """One whole step."""
        return self.end_step(self.begin_step())

    def start_camera(self, equal: Board | None = None) -> None:
        """Start ``camera-demo`` on a drawn source, as the service does.

        Args:
            equal: A board whose latency profile this one takes, so that not all of them measure at once.
        """
        if equal is not None:
            profiles = Path("state") / "mobilenet-edge" / "profiles"
            shutil.copytree(equal.root / profiles, self.root / profiles, dirs_exist_ok=True)
        source, page = "synthetic:96x96@4", f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "camera_demo", source, page, f"{self.broker}/cameras/{self.id}"]
        options = [
            "--bundle",
            NAME,
            "--budget-ms",
            str(BUDGET_MS),
            "--threads",
            "1",
            "--name",
            self.id,
            "--switch-versions",
        ]
        with (self.root / "camera.log").open("ab") as log:
            self._camera = subprocess.Popen([*command, *options], env=self.environment, stdout=log, stderr=log)

    @property
    def camera_runs(self) -> bool:
        """Whether ``camera-demo`` is running since it was started."""
        return self._camera is not None and self._camera.poll() is None

    def stop_camera(self) -> None:
        """End it."""
        if self._camera is not None:
            self._camera.terminate()
            self._camera.wait()

    def record_minutes(self, count: int) -> None:
        """Write what a running ``camera-demo`` would in some minutes, where none runs."""
        installed = find_installed(NAME, (self.data / "bundles",))
        if installed is None or installed.active is None:
            return
        names = [variant.variant.name for variant in open_bundle(installed.folder(installed.active)).manifest.variants]
        is_slow = any(name.endswith(SLOW) for name in names)
        for _ in range(count):
            minute = HealthMinute(
                ended=datetime.now(timezone.utc).isoformat(),
                seconds=60.0,
                camera=self.id,
                bundle=NAME,
                version=installed.active,
                frames=240,
                late=230 if is_slow else 2,
                confidence=0.9,
                source_up=1.0,
                variants={names[0]: VariantMinute(frames=240, p95_ms=_SLOW_MS if is_slow else _USUAL_MS)},
            )
            add_minute(self.root / "state" / "mobilenet-edge" / RECORD, minute)
