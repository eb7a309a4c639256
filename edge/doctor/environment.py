"""All that a check may look at: one machine and one Python environment, of which a test replaces any part."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.board.device import Device, describe
from edge.board.health import Health, read_health
from edge.board.subprocesses import Run, run_command
from edge.doctor import probes
from edge.doctor.probes import BackendReport

__all__ = ["Surroundings"]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "this user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One machine and one Python environment, as the checks see them; by default this one."""

    root: Path = Path("/")
    """Where ``proc``, ``sys``, ``etc``, ``usr`` and ``dev`` are."""
    device: Device = field(default_factory=describe)
    health: Health = field(default_factory=lambda: read_health(load_percent=lambda: None))
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    prefix: Path = field(default_factory=lambda: Path(sys.prefix))
    """The folder of the Python environment."""
    user: str = field(default_factory=_user)
    now_s: float = field(default_factory=time.time)
    """What the clock says, in seconds since 1970."""
    run: Run = run_command
    """Runs ``systemctl``, ``dpkg-query`` and their like."""
    import_check: Callable[[str], str | None] = probes.import_reason
    """Imports a module; None if that works, else the reason on one line."""
    version_of: Callable[[str], str | None] = probes.installed_version
    """Version of an installed distribution, None if it is not installed."""
    folder_of: Callable[[str], Path | None] = probes.folder_of
    """Where an installed distribution's files are."""
    backends: Callable[[], tuple[BackendReport, ...]] = probes.backend_reports
    self_test: Callable[[str], tuple[bool, str]] = probes.self_test
    """Whether a bundle's variants give their golden answers, and what was tested or is wrong."""
    opencv_build: Callable[[], str] = probes.opencv_build
    """What OpenCV says of how it was built."""
    can_open: Callable[[Path], bool] = probes.may_open
    """Whether this user may read and write a device node."""
    free_mb: Callable[[Path], int] = probes.free_mb
    """Free space on the disk of a folder, in units of 10⁶ bytes."""
    c_library: Callable[[], tuple[str, str]] = probes.c_library
    groups: Callable[[], frozenset[str] | None] = probes.own_groups
    """This process's groups; None for root."""

    @property
    def python(self) -> tuple[int, ...]:
        """The interpreter's version: ``(3, 11)``."""
        return tuple(int(part) for part in (self.device.python or "").split(".")[:2] if part.isdigit())

    @property
    def is_environment(self) -> bool:
        """Whether this Python environment is a virtual one."""
        return (self.prefix / "pyvenv.cfg").is_file()

    @property
    def is_closed(self) -> bool:
        """Whether the Python environment is a virtual one that does not see the system's packages."""
        try:
            settings = (self.prefix / "pyvenv.cfg").read_text(encoding="utf-8")
        except OSError:
            return False
        return "include-system-site-packages = true" not in settings.lower()

    def major(self, distribution: str) -> int | None:
        """The first number of an installed distribution's version."""
        first = (self.version_of(distribution) or "").split(".")[0]
        return int(first) if first.isdigit() else None

    def is_pips(self, distribution: str) -> bool:
        """Whether a distribution was installed by pip into this environment, and is not the system's."""
        folder = self.folder_of(distribution)
        return folder is not None and self.is_environment and folder.is_relative_to(self.prefix)

    def system_packages(self, name: str) -> Iterator[Path]:
        """Where Debian's or Ubuntu's own Pythons have a package: below ``/usr/lib/python3*/dist-packages``."""
        yield from sorted((self.root / "usr/lib").glob(f"python3*/dist-packages/{name}"))
