"""The wire format of Protocol Buffers, as far as it tells what a file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["fields", "varint"]

_MOST_FIELDS: Final = 64
_LONGEST: Final = 20
"""Bytes of a field's number and of its length."""
_FIXED: Final = {1: 8, 5: 4}


def varint(content: bytes, place: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = shift = 0
    while place < len(content) and shift < 64:
        byte = content[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            break
    return value, place


def fields(path: Path) -> Iterator[int]:
    """The numbers of a message's first fields, whose contents are skipped; they end where a file is not a message."""
    size = path.stat().st_size
    place = 0
    with path.open("rb") as file:
        for _ in range(_MOST_FIELDS):
            file.seek(place)
            head = file.read(_LONGEST)
            key, end = varint(head, 0)
            if not head or not key >> 3:
                return
            if key & 7 == 0:
                _, end = varint(head, end)
            elif key & 7 == 2:
                length, end = varint(head, end)
                end += length
            elif key & 7 in _FIXED:
                end += _FIXED[key & 7]
            else:
                return
            place += end
            if place > size:
                return
            yield key >> 3
