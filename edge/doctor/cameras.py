"""Checks of the cameras, and of this user's right to use them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.board.device import read_line, read_text
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, warning

__all__ = ["cameras", "groups", "ribbon_camera"]

_NOT_CAMERAS: Final = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid")
"""How a Raspberry Pi's own video nodes are called that code and scale, but see nothing."""
_PI_RECEIVERS: Final = ("unicam", "rp1-cfe")
"""How the receivers of a Raspberry Pi's ribbon cameras are called: libcamera opens them, OpenCV cannot."""
_JETSON_RECEIVER: Final = "vi-output"
"""How those of a Jetson are called; what they give to V4L2 is raw Bayer."""
_ARGUS: Final = "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"


def cameras(around: Surroundings) -> Iterator[Finding]:
    """There is a camera, this user may open it, and no other program has it."""
    usual = {path: name for path, name in _nodes(around).items() if not name.startswith((*_NOT_CAMERAS, *_RIBBON))}
    closed = [path for path in usual if not around.can_open(path)]
    if closed:
        names = ", ".join(f"/dev/{path.name}" for path in closed)
        fix = f"sudo usermod -aG video {around.user}, then log in again"
        yield warning("cameras", f"This user may not open {names}.", fix)
    elif busy := _holders(around.root, usual):
        path, holder = busy[0]
        message = f"/dev/{path.name} is in use by {holder}: a camera serves one program at a time."
        yield warning(
            "cameras", message, "End that program, or sudo systemctl stop mobilenet-edge if it is the service."
        )
    elif usual:
        yield ok(
            "cameras", ", ".join(f"/dev/{path.name}" + (f" ({usual[path]})" if usual[path] else "") for path in usual)
        )
    elif not _ribbon(around):
        fix = "Plug one in; without one, videos, folders and the built-in clip can be classified."
        yield warning("cameras", "There is no /dev/video* of a camera.", fix)


def ribbon_camera(around: Surroundings) -> Iterator[Finding]:
    """A ribbon camera has what opens it: picamera2 on a Raspberry Pi, NVIDIA's GStreamer source on a Jetson."""
    found = _ribbon(around)
    nodes = ", ".join(f"/dev/{path.name}" for path in found)
    if any(name.startswith(_JETSON_RECEIVER) for name in found.values()):
        if (around.root / _ARGUS).exists():
            yield ok("ribbon camera", f"{nodes}: open it as csi://0, for as a number it gives raw Bayer")
        else:
            message = f"{nodes}: csi:// needs NVIDIA's GStreamer source nvarguscamerasrc."
            yield warning("ribbon camera", message, "sudo apt-get install nvidia-l4t-camera nvidia-l4t-gstreamer")
    elif found or around.device.is_raspberry_pi:
        yield _picamera2(around, nodes)


def groups(around: Surroundings) -> Iterator[Finding]:
    """On a board: this user is in the groups that cameras, the firmware and the GPU belong to."""
    own = around.groups()
    if own is None or not (around.device.is_raspberry_pi or around.device.is_jetson):
        return
    needed = ("video", "render") if around.device.is_jetson else ("video",)
    missing = [name for name in needed if name not in own]
    if not missing:
        yield ok("groups", ", ".join(needed))
        return
    message = f"{around.user} is not in the group{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
    if all(_is_member(around, name) for name in missing):
        yield warning(
            "groups", f"{message} yet: groups count from the next login.", "Log out and in again, or restart."
        )
    else:
        fix = f"sudo usermod -aG {','.join(missing)} {around.user}, then log in again"
        yield warning("groups", f"{message}: cameras, throttling or the GPU are out of reach.", fix)


_RIBBON: Final = (*_PI_RECEIVERS, _JETSON_RECEIVER)


def _picamera2(around: Surroundings, nodes: str) -> Finding:
    version = around.version_of("picamera2") or ""
    if reason := around.import_check("picamera2"):
        message = f"{nodes}: OpenCV cannot open it, and csi://" if nodes else "csi://"
        fix = "sudo apt-get install python3-picamera2, then ./install.sh: it lets the environment see it"
        return warning("ribbon camera", f"{message} needs picamera2: {reason}", fix)
    if around.is_pips("picamera2"):
        message = f"picamera2 {version} comes from pip, and breaks when apt updates the libcamera below it."
        fix = "pip uninstall picamera2; sudo apt-get install python3-picamera2, then ./install.sh"
        return warning("ribbon camera", message, fix)
    message = f"{nodes}: open it as csi://0; " if nodes else ""
    return ok("ribbon camera", f"{message}picamera2 {version}".strip())


def _nodes(around: Surroundings) -> dict[Path, str]:
    """Every ``/dev/videoN`` by number, with the name of what it is."""
    nodes = [path for path in (around.root / "dev").glob("video*") if path.name[5:].isdigit()]
    names = around.root / "sys/class/video4linux"
    ordered = sorted(nodes, key=lambda path: int(path.name[5:]))
    return {path: read_line(names / path.name / "name") or "" for path in ordered}


def _ribbon(around: Surroundings) -> dict[Path, str]:
    return {path: name for path, name in _nodes(around).items() if name.startswith(_RIBBON)}


def _holders(root: Path, nodes: dict[Path, str]) -> list[tuple[Path, str]]:
    """Which nodes other programs have open, as far as this user may see: ``chromium (process 812)``."""
    by_name = {f"/dev/{path.name}": path for path in nodes}
    found = []
    for handle in (root / "proc").glob("[0-9]*/fd/*") if nodes else ():
        try:
            node = by_name.get(str(handle.readlink()))
        except OSError:
            continue
        process = handle.parent.parent
        if node is not None and process.name != str(os.getpid()):
            found.append((node, f"{read_line(process / 'comm') or 'a program'} (process {process.name})"))
    return found


def _is_member(around: Surroundings, group: str) -> bool:
    """Whether the system's list of groups has this user in one."""
    for line in (read_text(around.root / "etc/group") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == group:
            return around.user in rest.rpartition(":")[2].split(",")
    return False
