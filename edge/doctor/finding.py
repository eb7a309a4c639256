"""What a check gives, a :class:`Finding`, and all it may look at, the :class:`Surroundings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from edge.device import Device
from edge.health import Health

__all__ = ["BackendReport", "Finding", "Status", "Surroundings"]

Status = Literal["ok", "warning", "problem"]
"""``problem``: the runtime does not work; ``warning``: it works, but less well than it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at: ``numpy``, ``cameras``."""
    status: Status
    detail: str
    fix: str = ""
    """How to mend it; empty if there is nothing to mend."""

    def to_dict(self) -> dict[str, str]:
        """Every field by name."""
        return asdict(self)


class BackendReport(Protocol):
    """What a backend says of itself, see :func:`edge.backends.backend_reports`."""

    @property
    def name(self) -> str:
        """The backend's name."""

    @property
    def is_available(self) -> bool:
        """Whether it can be used here."""

    @property
    def detail(self) -> str:
        """Its version, or the reason why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One machine and one Python environment, as the checks see them."""

    root: Path
    device: Device
    health: Health
    environ: Mapping[str, str]
    prefix: Path
    """The folder of the Python environment."""
    import_check: Callable[[str], str | None]
    """Imports a module; None if that works, else the reason on one line."""
    version_of: Callable[[str], str | None]
    """Version of an installed distribution, None if it is not installed."""
    backends: Callable[[], tuple[BackendReport, ...]]
    can_open: Callable[[Path], bool]
    """Whether this user may read and write a device node."""
    free_mb: Callable[[Path], int]
    """Free space on the disk of a folder, in units of 10⁶ bytes."""

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
