"""Linux camera nodes: which there are, and why one does not open.

OpenCV only says that a camera did not open. Asked by hand, the kernel says why.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.errors import os_reason

__all__ = ["camera_nodes", "explain_camera", "probe_node"]

_QUERYCAP: Final = 0x80685600
"""``VIDIOC_QUERYCAP`` of linux/videodev2.h; the same on every architecture we run on."""
_CAPABILITY: Final = "80x4x2I12x"
_REQBUFS: Final = 0xC0145608
_NO_BUFFERS: Final = struct.pack("3I8x", 0, 1, 1)
"""``v4l2_requestbuffers``: no buffers, of the type video capture, memory mapped."""
_HAS_DEVICE_CAPS: Final = 0x80000000
_CAPTURES: Final = 0x00000001 | 0x00001000
"""Single- or multi-planar video capture."""
_NEEDS_PIPELINE: Final = 0x20000000
"""A raw sensor behind a media controller, as the CSI cameras of a Raspberry Pi 5."""


def camera_nodes(root: Path = Path("/dev")) -> list[str]:
    """The video nodes that exist, ``/dev/video2`` before ``/dev/video10``. Not each of them is a camera."""
    found = [(int(match[1]), path) for path in root.glob("video*") if (match := re.fullmatch(r"video(\d+)", path.name))]
    return [str(path) for _, path in sorted(found)]


def probe_node(path: str) -> None:
    """Open a node as a camera program would, and close it again. No picture is taken.

    Raises:
        OSError: With the kernel's reason; ``ENOTTY`` when the node is not a camera, ``EBUSY`` when another has it.
    """
    node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = fcntl.ioctl(node, _QUERYCAP, bytes(struct.calcsize(_CAPABILITY)))
        all_caps, device_caps = struct.unpack(_CAPABILITY, answer)
        caps = device_caps if all_caps & _HAS_DEVICE_CAPS else all_caps
        if not caps & _CAPTURES or caps & _NEEDS_PIPELINE:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY), path)
        _take_queue(node)
    finally:
        os.close(node)


def explain_camera(
    path: str, opener: Callable[[str], object] = probe_node, *, nodes: Callable[[], list[str]] = camera_nodes
) -> str:
    """Why a camera does not open, and what to do: one line.

    Args:
        path: Its node: ``/dev/video0``.
        opener: Opens the node and raises the kernel's :class:`OSError` when that fails.
        nodes: Lists the nodes there are, for the message.
    """
    try:
        opener(path)
    except OSError as reason:
        return _explain(path, reason, nodes)
    return (
        f"Camera {path} opens but gives no picture that OpenCV understands. Its formats: "
        f"v4l2-ctl -d {path} --list-formats-ext. Unplug it and plug it in again if it worked before."
    )


def _explain(path: str, reason: OSError, nodes: Callable[[], list[str]]) -> str:
    match reason.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            known = ", ".join(node for node in nodes() if node != path)
            return f"There is no camera {path}: {f'there is {known}' if known else 'none is plugged in'}."
        case errno.EACCES | errno.EPERM:
            return (
                f"Camera {path} may not be opened: permission denied. Add yourself to the video group: "
                "sudo usermod -aG video $USER and log in again."
            )
        case errno.EBUSY:
            return f"Camera {path} is busy: another program uses it. Close that program; fuser -v {path} names it."
        case errno.ENOTTY | errno.EINVAL:
            return f"{path} does not give pictures: v4l2-ctl --list-devices names those that do."
        case _:
            return f"Camera {path} cannot be opened: {os_reason(reason)}. Unplug it and plug it in again."


def _take_queue(node: int) -> None:
    """Ask for no buffers, which only a node that streams for somebody else refuses."""
    try:
        fcntl.ioctl(node, _REQBUFS, _NO_BUFFERS)
    except OSError as reason:
        if reason.errno == errno.EBUSY:
            raise
