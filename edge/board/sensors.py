"""What a board's files and commands report of its heat, clocks and limits. What they do not report is None or empty.

Paths are those of Linux' thermal, cpufreq and devfreq frameworks (Documentation/driver-api/thermal, ABI/testing/
sysfs-class-devfreq), of the Raspberry Pi's firmware and of Jetson Linux.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.board.device import read_line
from edge.board.subprocesses import Run

__all__ = [
    "Zone",
    "clocks_mhz",
    "critical_zone",
    "governor",
    "gpu_mhz",
    "held_back",
    "integer",
    "power_mode",
    "throttle_bits",
    "throttle_events",
    "zones",
]

_POSSIBLE_C: Final = (-40.0, 150.0)
_GPU: Final = re.compile(r"gpu|gpc|gm20b|gp10b|gv11b|ga10b")
"""Names of a Jetson's GPU among its devfreq devices: by chip until L4T 35, ``17000000.gpu`` and ``gpu-gpc-0`` later."""
_NO_SENSOR: Final = "PMIC-Die"
"""A zone of Jetson Linux 4 that always reads 100 °C."""
_HOLDS_CLOCK: Final = re.compile(r"cpu|gpu|devfreq|processor", re.IGNORECASE)
"""Cooling devices that slow the board down; the others are fans and the like."""


def integer(path: Path) -> int | None:
    """The whole number in a file."""
    try:
        return int(read_line(path) or "")
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Zone:
    """A thermal zone of the board."""

    name: str
    celsius: float
    limit_c: float | None
    """Where the kernel begins to slow the board down on account of this zone: its lowest passive trip point."""

    @property
    def left_c(self) -> float:
        """How far it is below its limit; infinity where it has none."""
        return math.inf if self.limit_c is None else self.limit_c - self.celsius


def zones(root: Path) -> tuple[Zone, ...]:
    """Every thermal zone with a possible temperature. Zones of one name are numbered: ``acpitz``, ``acpitz 2``."""
    found: list[Zone] = []
    count: Counter[str] = Counter()
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*"), key=_number):
        name, celsius = read_line(folder / "type") or folder.name, _celsius(folder / "temp")
        if celsius is None or name == _NO_SENSOR:
            continue
        count[name] += 1
        found.append(Zone(name if count[name] == 1 else f"{name} {count[name]}", celsius, _limit_c(folder)))
    return tuple(found)


def critical_zone(found: Iterable[Zone]) -> Zone | None:
    """The zone nearest to its own limit; where none has a limit, the hottest."""
    return min(found, key=lambda zone: (zone.left_c, -zone.celsius), default=None)


def held_back(root: Path) -> tuple[str, ...]:
    """The cooling devices that hold a clock down now: the board is too hot."""
    devices = sorted((root / "sys/class/thermal").glob("cooling_device*"))
    names = {read_line(device / "type") or "" for device in devices if (integer(device / "cur_state") or 0) > 0}
    return tuple(sorted(name for name in names if _HOLDS_CLOCK.search(name)))


def throttle_events(root: Path) -> int | None:
    """How often the hardware was held back since boot: x86's thermal counts, a Jetson's over-current counts."""
    patterns = ("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count", "sys/class/hwmon/*/oc*_event_cnt")
    counts = [integer(path) for pattern in patterns for path in root.glob(pattern)]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def throttle_bits(root: Path, run: Run) -> int | None:
    """A Raspberry Pi's bits: from ``throttled=0x50005``, else the digits alone in the firmware driver's file."""
    if reported := re.search(r"throttled=0x([0-9a-fA-F]+)", run(["vcgencmd", "get_throttled"]) or ""):
        return int(reported[1], 16)
    for path in sorted((root / "sys/devices/platform").glob("soc*/*:firmware/get_throttled")):
        if digits := re.fullmatch(r"(?:0x)?([0-9a-fA-F]+)", read_line(path) or ""):
            return int(digits[1], 16)
    return None


def clocks_mhz(root: Path, name: str) -> tuple[int, ...]:
    """The cpufreq file ``name`` of every CPU, in the order of their numbers."""
    clocks = (integer(cpu / "cpufreq" / name) for cpu in _cpus(root))
    return tuple(round(clock / 1000) for clock in clocks if clock is not None)


def governor(root: Path) -> str | None:
    """The frequency governor of all CPUs; where they differ, all names with ``/`` between."""
    names = {read_line(cpu / "cpufreq/scaling_governor") for cpu in _cpus(root)}
    return "/".join(sorted(filter(None, names))) or None


def gpu_mhz(root: Path, name: str) -> int | None:
    """The devfreq file ``name`` of a Jetson's GPU: ``cur_freq`` or ``max_freq``."""
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        hertz = integer(device / name) if _GPU.search(device.name) else None
        if hertz is not None:
            return round(hertz / 1e6)
    return None


def power_mode(run: Run) -> str | None:
    """A Jetson's ``nvpmodel`` mode."""
    mode = re.search(r"NV Power Mode:\s*(\S+)", run(["nvpmodel", "-q"]) or "")
    return mode[1] if mode else None


def _limit_c(zone: Path) -> float | None:
    passive = (kind for kind in zone.glob("trip_point_*_type") if read_line(kind) == "passive")
    limits = (_celsius(kind.with_name(kind.name.removesuffix("type") + "temp")) for kind in passive)
    return min((limit for limit in limits if limit is not None and limit > 0), default=None)


def _number(folder: Path) -> int:
    """The number that ends a folder's name."""
    digits = re.search(r"\d+$", folder.name)
    return int(digits[0]) if digits else 0


def _celsius(path: Path) -> float | None:
    """The thousandths of a degree in a file; None where no board can be that cold or hot."""
    value = integer(path)
    low, high = _POSSIBLE_C
    return value / 1000 if value is not None and low <= value / 1000 <= high else None


def _cpus(root: Path) -> Iterable[Path]:
    return sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"), key=_number)
