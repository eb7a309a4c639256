"""Checks of the machine: throttling, heat, clocks, memory and disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from edge.board.device import read_line, read_text
from edge.board.health import throttle_flags
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem, warning

__all__ = ["clocks", "disk", "heat", "memory", "throttling"]

_THROTTLE_FIXES: Final = (
    (0x1_0001, "Use the board's own power supply and a short cable."),
    (0xE_000E, "Cool the board: a heat sink, a fan, or more air."),
)
"""How to fix the causes behind the bits of ``get_throttled``, now and since boot; for other bits nothing is known."""
_HOT_C: Final = 80.0
"""Where a Raspberry Pi begins to throttle."""
_SMALL_MEMORY_MB: Final = 512
_LOW_DISK_MB: Final = 500
_FULL_DISK_MB: Final = 50


def throttling(around: Surroundings) -> Iterator[Finding]:
    """The board gets enough power and is not held back. Only a Raspberry Pi tells."""
    bits = around.health.throttle_bits
    if bits is None:
        if around.device.is_raspberry_pi:
            fix = f"sudo usermod -aG video {around.user}, then log in again"
            message = "vcgencmd get_throttled gives no answer: throttling cannot be seen."
            yield warning("throttling", message, fix)
    elif flags := throttle_flags(bits):
        fixes = [fix for mask, fix in _THROTTLE_FIXES if bits & mask]
        message = "latencies measured while the board is held back do not count"
        yield warning("throttling", f"{', '.join(flags)}: {message}.", " ".join(fixes))
    else:
        yield ok("throttling", "none since boot")


def heat(around: Surroundings) -> Iterator[Finding]:
    """The board is not hot."""
    celsius = around.health.temperature_c
    if celsius is not None and celsius >= _HOT_C:
        fix = "Give it a heat sink or a fan, or let it cool down."
        yield warning("temperature", f"{celsius:.0f} °C: boards throttle here.", fix)
    elif celsius is not None:
        yield ok("temperature", f"{celsius:.0f} °C")


def clocks(around: Surroundings) -> Iterator[Finding]:
    """The governor lets the CPUs run at full speed."""
    governor = around.health.governor
    if governor is None:
        return
    # Under these drivers "powersave" is the name of a governor that does raise the clock.
    driver = read_line(around.root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver") or ""
    if "powersave" in governor.split("/") and not driver.startswith(("intel_pstate", "amd-pstate", "amd_pstate")):
        fix = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        detail = "The governor powersave keeps the CPUs at their lowest clock."
        yield warning("governor", detail, fix)
        return
    mode = around.health.power_mode
    yield ok("governor", f"{governor}, power mode {mode}" if mode else governor)


def memory(around: Surroundings) -> Iterator[Finding]:
    """There is memory enough, or swap."""
    size_mb = around.device.memory_mb
    if size_mb is None:
        return
    swap = re.search(r"^SwapTotal:\s*(\d+) kB", read_text(around.root / "proc/meminfo") or "", re.MULTILINE)
    if size_mb < _SMALL_MEMORY_MB and not (swap and int(swap[1])):
        fix = "Add swap, for example: sudo apt-get install zram-tools"
        yield warning("memory", f"{size_mb} MB and no swap.", fix)
    else:
        yield ok("memory", f"{size_mb} MB")


def disk(around: Surroundings) -> Iterator[Finding]:
    """There is room on the disk of the Python environment."""
    try:
        free_mb = around.free_mb(around.prefix)
    except OSError:
        return
    if free_mb >= _LOW_DISK_MB:
        yield ok("disk", f"{free_mb} MB free")
        return
    kind = problem if free_mb < _FULL_DISK_MB else warning
    detail = f"{free_mb} MB free on the disk of {around.prefix}: expected {_LOW_DISK_MB} MB."
    yield kind("disk", detail, "Remove files you no longer need.")
