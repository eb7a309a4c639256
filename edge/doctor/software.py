"""Checks of the Python environment: interpreter, NumPy, OpenCV, inference backends, and a Jetson's own packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.doctor.finding import Finding, Surroundings

__all__ = ["backends", "jetson", "numpy", "opencv", "python"]

_OLDEST_PYTHON: Final = (3, 10)
_NEWEST_32_BIT_PYTHON: Final = (3, 11)
"""The last for which tflite-runtime, the only runtime with 32-bit Arm wheels, has one."""
_OLDEST_L4T: Final = 36
_OPENCV_WHEELS: Final = ("opencv-python", "opencv-python-headless")
_AGAIN: Final = "Run ./install.sh again"


def python(around: Surroundings) -> Iterator[Finding]:
    """Python is new enough, and the user land is 64-bit."""
    device = around.device
    version = tuple(int(part) for part in (device.python or "").split(".")[:2] if part.isdigit())
    if version < _OLDEST_PYTHON:
        fix = "Install Python 3.10 or newer and run ./install.sh again."
        yield Finding(check="python", status="problem", detail=f"Python {device.python} is too old.", fix=fix)
        return
    if device.pointer_bits != 32:
        yield Finding(check="python", status="ok", detail=f"{device.python}, {device.pointer_bits}-bit")
        return
    is_mixed = device.machine in ("aarch64", "x86_64")
    kernel = f" under a 64-bit kernel ({device.machine})" if is_mixed else ""
    yield Finding(
        check="python",
        status="warning" if version <= _NEWEST_32_BIT_PYTHON else "problem",
        detail=f"Python {device.python} is 32-bit{kernel}: ai-edge-litert has no 32-bit wheels, and tflite-runtime "
        "has them up to Python 3.11.",
        fix="Install the 64-bit operating system.",
    )


def numpy(around: Surroundings) -> Iterator[Finding]:
    """NumPy can be imported, and is not too new for tflite-runtime where that is the only LiteRT."""
    if reason := around.import_check("numpy"):
        yield Finding(check="numpy", status="problem", detail=reason, fix=f"{_AGAIN}, or: pip install numpy")
        return
    version = around.version_of("numpy") or "of unknown version"
    runtime = around.version_of("tflite-runtime")
    if runtime and not around.version_of("ai-edge-litert") and (around.major("numpy") or 0) >= 2:
        detail = f"tflite-runtime {runtime} was built for NumPy 1 and fails with NumPy {version}."
        yield Finding(check="numpy", status="problem", detail=detail, fix="pip install 'numpy<2'")
        return
    yield Finding(check="numpy", status="ok", detail=version)


def opencv(around: Surroundings) -> Iterator[Finding]:
    """OpenCV can be imported, and comes from one place only."""
    wheels = {name: version for name in _OPENCV_WHEELS if (version := around.version_of(name))}
    names = " and ".join(f"{name} {version}" for name, version in wheels.items())
    if reason := around.import_check("cv2"):
        fix = _opencv_fix(around, reason, has_wheel=bool(wheels))
        yield Finding(check="opencv", status="problem", detail=reason, fix=fix)
    elif len(wheels) == 2:
        yield Finding(
            check="opencv",
            status="warning",
            detail=f"{names} are both installed and overwrite each other's files.",
            fix="pip uninstall opencv-python opencv-python-headless, then ./install.sh",
        )
    elif wheels and around.device.is_jetson:
        yield Finding(
            check="opencv",
            status="warning",
            detail=f"{names} hides JetPack's OpenCV, the one with GStreamer: csi:// cameras will not open.",
            fix=f"pip uninstall {next(iter(wheels))}",
        )
    else:
        yield Finding(check="opencv", status="ok", detail=names or "the system's")


def backends(around: Surroundings) -> Iterator[Finding]:
    """Which inference backends work; one is enough."""
    try:
        reports = around.backends()
    except (ImportError, AttributeError, OSError) as reason:
        detail = f"The backends cannot be loaded: {str(reason).partition(chr(10))[0]}"
        yield Finding(check="backends", status="problem", detail=detail, fix=f"{_AGAIN}.")
        return
    for report in reports:
        detail = report.detail if report.is_available else f"not in use: {report.detail}"
        yield Finding(check=f"backend {report.name}", status="ok", detail=detail)
    if not any(report.is_available for report in reports):
        fix = f"{_AGAIN}, or: pip install ai-edge-litert"
        yield Finding(check="backends", status="problem", detail="No inference backend works here.", fix=fix)


def jetson(around: Surroundings) -> Iterator[Finding]:
    """On a Jetson: its software is new enough, and its TensorRT can be imported."""
    device = around.device
    if not device.is_jetson:
        return
    if device.l4t is not None and int(device.l4t.split(".")[0]) < _OLDEST_L4T:
        yield Finding(
            check="jetpack",
            status="problem",
            detail=f"Jetson Linux {device.l4t} is too old: JetPack 5 and older carry Python 3.8 or older.",
            fix="Update to JetPack 6.1 or newer.",
        )
    elif device.l4t is not None:
        yield Finding(check="jetpack", status="ok", detail=f"Jetson Linux {device.l4t}")
    if (reason := around.import_check("tensorrt")) is None:
        yield Finding(check="tensorrt", status="ok", detail=around.version_of("tensorrt") or "the system's")
    elif around.is_closed:
        detail = f"{around.prefix} does not see the system's packages, TensorRT among them: {reason}"
        fix = "sudo apt-get install nvidia-jetpack if it is missing, then ./install.sh: it lets the environment see it"
        yield Finding(check="tensorrt", status="warning", detail=detail, fix=fix)
    else:
        fix = "sudo apt-get install nvidia-jetpack; the environment must use the system's python3."
        yield Finding(check="tensorrt", status="warning", detail=reason, fix=fix)


def _opencv_fix(around: Surroundings, reason: str, *, has_wheel: bool) -> str:
    if "libGL" in reason:
        return "sudo apt-get install libgl1, or without a screen: pip install opencv-python-headless"
    if "numpy" in reason and (around.major("numpy") or 0) >= 2 and not has_wheel:
        return "The system's OpenCV was built for NumPy 1: pip install 'numpy<2'"
    return f"{_AGAIN}, or in its folder: pip install '.[headless]', '.[desktop]' to see a window"
