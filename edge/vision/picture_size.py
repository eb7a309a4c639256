"""How large a picture is by its header, before memory is taken for it: a file of some kilobytes may claim gigabytes."""

from __future__ import annotations

import re
from typing import Final

from edge.vision.avif import avif_size, is_avif
from edge.vision.jpeg import JPEG_START, jpeg_size

__all__ = ["picture_size"]

_PNM: Final = re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s")
_TIFF_HEADS: Final = {b"II*\0": "little", b"MM\0*": "big"}
_WIDTH, _HEIGHT = 256, 257
_SHORT: Final = 3


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG, PNG, WebP, BMP, TIFF, PNM or AVIF file; None where the header does not say."""
    if data.startswith(JPEG_START):
        return jpeg_size(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_webp(data)
    if data.startswith(b"BM"):
        width, height = (int.from_bytes(data[n : n + 4], "little", signed=True) for n in (18, 22))
        return width, abs(height)
    if data[:4] in _TIFF_HEADS:
        return _of_tiff(data)
    if match := _PNM.match(data[:1000]):
        return int(match[1]), int(match[2])
    return avif_size(data) if is_avif(data) else None


def _of_webp(data: bytes) -> tuple[int, int] | None:
    """The size in the first chunk (RFC 9649)."""
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _of_tiff(data: bytes) -> tuple[int, int] | None:
    """The size in the first directory (TIFF 6.0)."""
    order = _TIFF_HEADS[data[:4]]

    def number(place: int, count: int) -> int:
        return int.from_bytes(data[place : place + count], "little" if order == "little" else "big")

    start, found = number(4, 4), dict[int, int]()
    for entry in range(number(start, 2)):
        place = start + 2 + 12 * entry
        if (tag := number(place, 2)) in (_WIDTH, _HEIGHT):
            found[tag] = number(place + 8, 2 if number(place + 2, 2) == _SHORT else 4)
    return (found[_WIDTH], found[_HEIGHT]) if len(found) == 2 else None
