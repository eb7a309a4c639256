"""Where a JPEG ends and how large its picture is, told from its markers (ITU-T T.81, B.1.1) without decoding it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["JPEG_START", "is_progressive", "jpeg_end", "jpeg_size"]

JPEG_START: Final = b"\xff\xd8"
_MARKER: Final = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""A marker in entropy-coded data, where 0xFF00 stands for a byte and 0xFFD0 to 0xFFD7 restart the coder."""
_LONE: Final = (0x01, 0xD8)
"""Markers without a length behind them."""
_END: Final = 0xD9
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment that gives the picture's size."""
_PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)


def jpeg_end(data: bytes | bytearray) -> int | None:
    """Behind the end marker that belongs to the picture itself, not to its thumbnail; None if it is not there."""
    place = 2
    while (marker := _MARKER.search(data, place)) is not None:
        kind, place = data[marker.end() - 1], marker.end()
        if kind == _END:
            return place
        if kind not in _LONE and place + 2 <= len(data):  # a segment with its length; after a scan's, coded data follow
            place += int.from_bytes(data[place : place + 2], "big")
    return None


def jpeg_size(data: bytes | bytearray) -> tuple[int, int] | None:
    """Width and height as the header says; None where it does not."""
    _, place = _frame(data)
    if not place:
        return None
    return int.from_bytes(data[place + 5 : place + 7], "big"), int.from_bytes(data[place + 3 : place + 5], "big")


def is_progressive(data: bytes | bytearray) -> bool:
    """Whether the picture comes in ever finer scans, for which its decoder must hold all of it."""
    return _frame(data)[0] in _PROGRESSIVE


def _frame(data: bytes | bytearray) -> tuple[int, int]:
    """The marker of the segment that describes the picture, and the place behind it; 0 and 0 without one."""
    place = 2
    while (marker := _MARKER.search(data, place)) is not None:
        kind, place = data[marker.end() - 1], marker.end()
        if kind in _FRAMES and place + 7 <= len(data):
            return kind, place
        if kind == _END:
            break
        if kind not in _LONE:
            place += int.from_bytes(data[place : place + 2], "big")
    return 0, 0
