"""Checks of the interpreter, of the C library below it, and of the environment around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem, warning

__all__ = ["c_library", "environment", "interpreter"]

_OLDEST_PYTHON: Final = (3, 10)
_NEWEST_PYTHON: Final = (3, 14)
"""The last for which ai-edge-litert 2.3 has wheels."""
_NEWEST_32_BIT_PYTHON: Final = (3, 11)
"""The last for which tflite-runtime, the only runtime with 32-bit Arm wheels, has one."""
_WHEELS_FOR: Final = ("aarch64", "arm64", "x86_64")
_OLDEST_GLIBC: Final = (2, 27)
"""What ai-edge-litert's wheels need (``manylinux_2_27``)."""
_TFLITE_GLIBC: Final = (2, 34)
"""What tflite-runtime 2.14 needs."""


def interpreter(around: Surroundings) -> Iterator[Finding]:
    """Python is one that the runtime has wheels for: new enough, not too new, 64-bit."""
    device, version = around.device, around.python
    if version < _OLDEST_PYTHON:
        fix = "Install Python 3.10 or newer and run ./install.sh again."
        yield problem("python", f"Python {device.python} is too old.", fix)
    elif device.pointer_bits == 32:
        yield _of_32_bit(around)
    elif around.version_of("ai-edge-litert") or around.version_of("tflite-runtime"):
        yield ok("python", f"{device.python}, {device.pointer_bits}-bit")
    elif device.machine not in (None, *_WHEELS_FOR):
        message = f"ai-edge-litert has no wheels for {device.machine}."
        yield problem(
            "python", message, "Use a 64-bit Arm or x86 machine, or pip install onnxruntime if it has wheels."
        )
    elif version > _NEWEST_PYTHON:
        message = f"ai-edge-litert has no wheel for Python {device.python}: it has them for 3.10 to 3.14."
        yield problem(
            "python", message, "Run ./install.sh with an older Python: it looks for python3.13 to python3.10."
        )
    else:
        yield ok("python", f"{device.python}, {device.pointer_bits}-bit")


def _of_32_bit(around: Surroundings) -> Finding:
    device = around.device
    kernel = f" under a 64-bit kernel ({device.machine})" if device.machine in ("aarch64", "x86_64") else ""
    message = (
        f"Python {device.python} is 32-bit{kernel}: ai-edge-litert has no 32-bit wheels, and tflite-runtime has them "
        "up to Python 3.11."
    )
    kind = warning if around.python <= _NEWEST_32_BIT_PYTHON else problem
    return kind("python", message, "Install the 64-bit operating system.")


def c_library(around: Surroundings) -> Iterator[Finding]:
    """The C library is new enough for the runtimes' wheels."""
    name, release = around.c_library()
    version = tuple(int(part) for part in release.split(".")[:2] if part.isdigit())
    if name not in ("", "glibc"):
        yield problem(
            "c library", f"{name} {release}: the runtimes' wheels need glibc.", "Use Debian, Ubuntu or the like."
        )
    elif not version:
        return
    elif version < _OLDEST_GLIBC:
        fix = "Update the operating system: Raspberry Pi OS Bookworm and Ubuntu 22.04 are new enough."
        yield problem("c library", f"glibc {release} is older than the 2.27 that ai-edge-litert needs.", fix)
    elif version < _TFLITE_GLIBC and (around.version_of("tflite-runtime") or "").startswith("2.14"):
        message = f"glibc {release} is older than the 2.34 that tflite-runtime 2.14 needs."
        yield problem("c library", message, "pip install 'tflite-runtime<2.14'")
    else:
        yield ok("c library", f"glibc {release}")


def environment(around: Surroundings) -> Iterator[Finding]:
    """The packages are in an environment of their own, which sees those of the system's that are needed."""
    marker = next((around.root / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"), None)
    if not around.is_environment:
        if marker is not None:
            message = f"This is the system's Python, into which pip does not install (PEP 668: {marker.name})."
            yield warning("environment", message, "./install.sh makes an environment, .venv; run .venv/bin/edge there.")
        return
    hidden = sorted({path.name for name in ("picamera2", "tensorrt") for path in around.system_packages(name)})
    if around.is_closed and hidden:
        message = f"{around.prefix} does not see the system's packages, {' and '.join(hidden)} among them."
        yield warning("environment", message, "Run ./install.sh again: it lets the environment see them.")
    else:
        sees = "apart from the system's packages" if around.is_closed else "sees the system's packages"
        yield ok("environment", f"{around.prefix}, {sees}")
