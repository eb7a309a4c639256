"""A name for a source that stays the same at every start and that no other source of this machine has."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import uuid
from pathlib import Path
from typing import Final

from camera_demo.uri import Uri
from edge.addresses import split_address
from edge.board.device import read_line

__all__ = ["source_id"]

_MACHINE_IDS: Final = ("etc/machine-id", "var/lib/dbus/machine-id")
_DIGEST_LETTERS: Final = 8


def source_id(uri: Uri, root: Path = Path("/")) -> str:
    """The name, of letters of ASCII, digits, ``_`` and ``-``: ``video0``, ``csi0``, ``cam-local-1f0c9a2e``.

    The whole address or path goes in as a digest that is keyed with this machine's own secret number: a password in an
    address cannot be guessed by trying.

    Args:
        uri: The source.
        root: Where the system's files are.
    """
    match uri.scheme.name:
        case "v4l2":
            return _slug(Path(uri.location).name)
        case "csi":
            return _slug(f"csi{uri.location or 0}")
        case "demo" | "synthetic":
            return uri.scheme.name
    if uri.scheme.is_remote:
        name, whole = split_address(uri.location).host, uri.location.encode()
    else:
        name, whole = Path(uri.location).name, os.fsencode(os.path.abspath(uri.location))  # noqa: PTH100 - keeps links
    digest = hmac.new(_machine_id(root).encode(), whole, hashlib.sha256).hexdigest()[:_DIGEST_LETTERS]
    return f"{_slug(name)}-{digest}".strip("-")


def _machine_id(root: Path) -> str:
    """What systemd made for this machine, which is confidential (machine-id(5)); else its network card's number."""
    return next((line for name in _MACHINE_IDS if (line := read_line(root / name))), str(uuid.getnode()))


def _slug(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-")
