"""Checks of the machine: cameras, screen, throttling, heat, clocks, memory and disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.device import read_line, read_text
from edge.doctor.finding import Finding, Status, Surroundings
from edge.health import throttle_flags

__all__ = ["cameras", "clocks", "disk", "display", "heat", "memory", "throttling"]

_NOT_CAMERAS: Final = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid")
"""How a Raspberry Pi's own video nodes are called that code and scale, but see nothing."""
_RIBBON_CAMERAS: Final = ("unicam", "rp1-cfe")
"""How the receivers of a Raspberry Pi's ribbon cameras are called: libcamera opens them, OpenCV cannot."""
_HOT_C: Final = 80.0
"""Where a Raspberry Pi begins to throttle."""
_SMALL_MEMORY_MB: Final = 512
_LOW_DISK_MB: Final = 500
_FULL_DISK_MB: Final = 50


def cameras(around: Surroundings) -> Iterator[Finding]:
    """There is a camera, and this user may open it."""
    nodes = {path: _node_name(around.root, path) for path in _video_nodes(around.root)}
    ribbon = [path for path, name in nodes.items() if name.startswith(_RIBBON_CAMERAS)]
    usual = [path for path, name in nodes.items() if not name.startswith((*_RIBBON_CAMERAS, *_NOT_CAMERAS))]
    closed = [path for path in usual if not around.can_open(path)]
    if closed:
        names = ", ".join(f"/dev/{path.name}" for path in closed)
        fix = "sudo usermod -aG video $USER, then log in again"
        yield Finding(check="cameras", status="warning", detail=f"This user may not open {names}.", fix=fix)
    elif usual:
        told = [f"/dev/{path.name} ({nodes[path]})" if nodes[path] else f"/dev/{path.name}" for path in usual]
        yield Finding(check="cameras", status="ok", detail=", ".join(told))
    elif not ribbon:
        fix = "Plug one in; without one, videos, folders and the built-in clip can be classified."
        yield Finding(check="cameras", status="warning", detail="There is no /dev/video* of a camera.", fix=fix)
    if ribbon or (around.device.is_raspberry_pi and not usual):
        yield _picamera2(around)


def display(around: Surroundings) -> Iterator[Finding]:
    """There is a screen, or none is needed."""
    screen = next((name for name in ("WAYLAND_DISPLAY", "DISPLAY") if around.environ.get(name)), None)
    if screen is None:
        yield Finding(check="display", status="ok", detail="none: the picture goes to a web page or a file")
    elif around.version_of("opencv-python-headless") and not around.version_of("opencv-python"):
        detail = f"{screen}={around.environ[screen]}, but opencv-python-headless opens no window."
        fix = "pip uninstall opencv-python-headless, then in the project's folder: pip install '.[desktop]'"
        yield Finding(check="display", status="warning", detail=detail, fix=fix)
    else:
        yield Finding(check="display", status="ok", detail=f"{screen}={around.environ[screen]}")


def throttling(around: Surroundings) -> Iterator[Finding]:
    """The board gets enough power and is not held back. Only a Raspberry Pi tells."""
    bits = around.health.throttle_bits
    if bits is None:
        if around.device.is_raspberry_pi:
            fix = "sudo usermod -aG video $USER, then log in again"
            detail = "vcgencmd get_throttled gives no answer: throttling cannot be seen."
            yield Finding(check="throttling", status="warning", detail=detail, fix=fix)
    elif flags := throttle_flags(bits):
        fix = "Use the board's own power supply and cool it: latencies measured while it is held back do not count."
        yield Finding(check="throttling", status="warning", detail=", ".join(flags), fix=fix)
    else:
        yield Finding(check="throttling", status="ok", detail="none since boot")


def heat(around: Surroundings) -> Iterator[Finding]:
    """The board is not hot."""
    celsius = around.health.temperature_c
    if celsius is not None and celsius >= _HOT_C:
        fix = "Give it a heat sink or a fan, or let it cool down."
        yield Finding(check="temperature", status="warning", detail=f"{celsius:.0f} °C: boards throttle here.", fix=fix)
    elif celsius is not None:
        yield Finding(check="temperature", status="ok", detail=f"{celsius:.0f} °C")


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
        yield Finding(check="governor", status="warning", detail=detail, fix=fix)
        return
    mode = around.health.power_mode
    yield Finding(check="governor", status="ok", detail=f"{governor}, power mode {mode}" if mode else governor)


def memory(around: Surroundings) -> Iterator[Finding]:
    """There is memory enough, or swap."""
    size_mb = around.device.memory_mb
    if size_mb is None:
        return
    swap = re.search(r"^SwapTotal:\s*(\d+) kB", read_text(around.root / "proc/meminfo") or "", re.MULTILINE)
    if size_mb < _SMALL_MEMORY_MB and not (swap and int(swap[1])):
        fix = "Add swap, for example: sudo apt-get install zram-tools"
        yield Finding(check="memory", status="warning", detail=f"{size_mb} MB and no swap.", fix=fix)
    else:
        yield Finding(check="memory", status="ok", detail=f"{size_mb} MB")


def disk(around: Surroundings) -> Iterator[Finding]:
    """There is room on the disk of the Python environment."""
    try:
        free_mb = around.free_mb(around.prefix)
    except OSError:
        return
    if free_mb >= _LOW_DISK_MB:
        yield Finding(check="disk", status="ok", detail=f"{free_mb} MB free")
        return
    status: Status = "problem" if free_mb < _FULL_DISK_MB else "warning"
    detail = f"{free_mb} MB free on the disk of {around.prefix}: expected {_LOW_DISK_MB} MB."
    yield Finding(check="disk", status=status, detail=detail, fix="Remove files you no longer need.")


def _video_nodes(root: Path) -> list[Path]:
    nodes = [path for path in (root / "dev").glob("video*") if path.name[5:].isdigit()]
    return sorted(nodes, key=lambda path: int(path.name[5:]))


def _node_name(root: Path, node: Path) -> str:
    return read_line(root / "sys/class/video4linux" / node.name / "name") or ""


def _picamera2(around: Surroundings) -> Finding:
    reason = around.import_check("picamera2")
    if reason is None:
        return Finding(
            check="ribbon camera", status="ok", detail=f"picamera2 {around.version_of('picamera2') or ''}".strip()
        )
    return Finding(
        check="ribbon camera",
        status="warning",
        detail=f"csi:// needs picamera2: {reason}",
        fix="sudo apt-get install python3-picamera2, then ./install.sh: it lets the environment see it",
    )
