"""Network addresses that may contain a password."""

from __future__ import annotations

import re

__all__ = ["redacted"]

_USER = re.compile(r"(?<=://)([^/?#@:]*):[^/?#]*@")


def redacted(address: str) -> str:
    """``address`` with ``***`` for its password, for messages and logs.

    >>> redacted("rtsp://me:secret@cam/live"), redacted("rtsp://cam/live")
    ('rtsp://me:***@cam/live', 'rtsp://cam/live')
    """
    return _USER.sub(r"\1:***@", address)
