"""Which node a camera stands at, now: one that is unplugged and plugged in again may get another number."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from camera_demo.sources.v4l2 import camera_nodes
from edge.board.device import read_line

__all__ = ["CameraIdentity", "CameraTrail", "identity_of"]

_log = logging.getLogger(__name__)
_USB: Final = ("idVendor", "idProduct", "serial")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraIdentity:
    """What tells one camera from another, as far as the kernel knows."""

    name: str
    index: str
    """Which of the device's nodes it is: webcams have a second one for metadata."""
    usb: tuple[str | None, ...]
    """Vendor, product and serial number; None each where it has none."""
    port: str
    """Where in the machine it is plugged in."""

    def likeness(self, other: CameraIdentity) -> int:
        """0 where ``other`` is another camera, else the greater the surer it is the same."""
        if (self.name, self.index, self.usb) != (other.name, other.index, other.usb):
            return 0
        return 2 if self.usb[-1] is not None or self.port == other.port else 1


class CameraTrail:
    """Follows one camera from node to node.

    Stable names, as in ``/dev/v4l/by-id``, are looked up each time. Of a ``/dev/videoN`` the camera behind it is
    remembered, and looked for among all nodes.
    """

    def __init__(self, place: str, *, root: Path = Path("/")) -> None:
        self._place, self._root = place, root
        self._identity: CameraIdentity | None = None

    def node(self) -> str:
        """The node to open now; the one asked for, where the camera is not to be found."""
        if Path(self._place).is_symlink() or self._identity is None:
            return os.path.realpath(self._place)
        nodes = [self._place, *(node for node in camera_nodes(self._root / "dev") if node != self._place)]
        known = {node: identity_of(node, self._root) for node in nodes}
        likeness = {node: self._identity.likeness(found) for node, found in known.items() if found is not None}
        best = max(likeness, key=lambda node: likeness[node], default=self._place)
        return best if likeness.get(best) else self._place

    def seen(self, node: str) -> None:
        """Remember the camera that was opened at ``node``."""
        identity = identity_of(node, self._root)
        if self._identity is not None and identity is not None and not self._identity.likeness(identity):
            _log.warning("%s is another camera now: %s, before it was %s", node, identity.name, self._identity.name)
        self._identity = identity or self._identity


def identity_of(node: str, root: Path = Path("/")) -> CameraIdentity | None:
    """Who stands at ``node``; None where the kernel does not say."""
    entry = root / "sys/class/video4linux" / Path(node).name
    name = read_line(entry / "name")
    if name is None:
        return None
    device = (entry / "device").resolve()
    return CameraIdentity(
        name=name,
        index=read_line(entry / "index") or "0",
        usb=tuple(read_line(device.parent / field) for field in _USB),
        port=str(device),
    )
