"""Checks of OpenCV: that it loads, where it comes from, and whether it can do what is asked of it here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem, warning

__all__ = ["display", "opencv"]

_HEADLESS: Final = ("opencv-python-headless", "opencv-contrib-python-headless")
_WITH_WINDOWS: Final = ("opencv-python", "opencv-contrib-python")

_WITHOUT_GSTREAMER: Final = "csi:// goes through a gst-launch-1.0 of its own, which costs copies"


def opencv(around: Surroundings) -> Iterator[Finding]:
    """OpenCV can be imported, comes from one place only, and on a Jetson has GStreamer."""
    wheels = _wheels(around, *_WITH_WINDOWS, *_HEADLESS)
    names = " and ".join(f"{name} {version}" for name, version in wheels.items())
    if reason := around.import_check("cv2"):
        yield problem("opencv", reason, _import_fix(around, reason, has_wheel=bool(wheels)))
    elif len(wheels) > 1:
        message = f"{names} are {'both' if len(wheels) == 2 else 'all'} installed and overwrite each other's files."
        yield warning("opencv", message, f"pip uninstall {' '.join(wheels)}, then ./install.sh")
    elif wheels and around.device.is_jetson and next(around.system_packages("cv2*"), None):
        message = f"{names} hides JetPack's OpenCV, the one with GStreamer: {_WITHOUT_GSTREAMER}."
        yield warning("opencv", message, f"pip uninstall {next(iter(wheels))}")
    elif around.device.is_jetson and re.search(r"GStreamer:\s+NO", around.opencv_build()):
        yield _without_gstreamer(around, names or "This OpenCV", tuple(wheels))
    else:
        yield ok("opencv", names or "the system's")


def display(around: Surroundings) -> Iterator[Finding]:
    """Where there is a screen, OpenCV can open windows; where there is none, nothing waits for one."""
    screen = next((name for name in ("WAYLAND_DISPLAY", "DISPLAY") if around.environ.get(name)), None)
    windows, headless = _wheels(around, *_WITH_WINDOWS), _wheels(around, *_HEADLESS)
    if screen is None and "opencv-contrib-python" in windows:
        message = "opencv-contrib-python brings Qt for windows, and there is no screen: a window would end the program."
        fix = "pip uninstall opencv-contrib-python, then in the project's folder: pip install '.[headless]'"
        yield warning("display", message, fix)
    elif screen is None:
        yield ok("display", "none: the picture goes to a web page or a file")
    elif headless and not windows:
        message = f"{screen}={around.environ[screen]}, but {next(iter(headless))} opens no window."
        fix = f"pip uninstall {' '.join(headless)}, then in the project's folder: pip install '.[desktop]'"
        yield warning("display", message, fix)
    else:
        yield ok("display", f"{screen}={around.environ[screen]}")


def _wheels(around: Surroundings, *names: str) -> dict[str, str]:
    return {name: version for name in names if (version := around.version_of(name))}


def _without_gstreamer(around: Surroundings, name: str, wheels: tuple[str, ...]) -> Finding:
    if (around.root / "usr/bin/gst-launch-1.0").exists():
        return ok("opencv", f"{name}, without GStreamer: {_WITHOUT_GSTREAMER}")
    uninstall = f"pip uninstall {' '.join(wheels)}; " if wheels else ""
    fix = (
        f"sudo apt-get install gstreamer1.0-tools, or: {uninstall}sudo apt-get install nvidia-opencv, then ./install.sh"
    )
    return warning("opencv", f"{name} has no GStreamer, and there is no gst-launch-1.0: csi:// will not open.", fix)


def _import_fix(around: Surroundings, reason: str, *, has_wheel: bool) -> str:
    if "libGL" in reason:
        return "sudo apt-get install libgl1, or without a screen: pip install opencv-python-headless"
    if "static TLS" in reason:
        return "export LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1 before the program starts"
    if "numpy" in reason and (around.major("numpy") or 0) >= 2 and not has_wheel:
        return "The system's OpenCV was built for NumPy 1: pip install 'numpy<2'"
    return "Run ./install.sh again, or in its folder: pip install '.[headless]', '.[desktop]' to see a window"
