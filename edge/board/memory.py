"""What memory this process takes, and what the machine has left; MB are 10^6 bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import psutil

__all__ = ["available_mb", "forget_peak", "peak_rss_mb", "rss_mb"]

_SELF: Final = Path("/proc/self")


def rss_mb() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / 1e6


def available_mb() -> float:
    """Memory that programs can still take without the machine swapping."""
    return psutil.virtual_memory().available / 1e6


def forget_peak(proc: Path = _SELF) -> None:
    """Start a new peak of resident memory, where the kernel offers that."""
    try:
        (proc / "clear_refs").write_text("5")
    except OSError:
        return


def peak_rss_mb(proc: Path = _SELF) -> float:
    """Peak resident memory of this process since :func:`forget_peak`; if the system reports none, the current one."""
    try:
        peak = re.search(r"^VmHWM:\s*(\d+) kB", (proc / "status").read_text(), re.MULTILINE)
    except OSError:
        peak = None
    return int(peak[1]) * 1024 / 1e6 if peak else rss_mb()
