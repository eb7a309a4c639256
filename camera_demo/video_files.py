"""Video files as OpenCV can take them: by safe names, and whether a container holds all that it announces."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["is_cut_short", "safe_name"]

_SEGMENT: Final = b"\x18\x53\x80\x67"
"""Matroska's element that holds everything (RFC 9559)."""


@contextlib.contextmanager
def safe_name(path: Path) -> Iterator[str]:
    """A name of the file or folder ``path`` that OpenCV opens as this very file, while the block lasts.

    OpenCV hands names on as UTF-8, whatever the file system's bytes are, and FFmpeg takes ``12:30.mp4`` for a protocol
    and ``%d`` for a number. A path that is not safe is opened here and named by its descriptor.
    """
    whole = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
    try:
        is_safe = whole.encode() == os.fsencode(whole) and "%" not in whole
    except UnicodeEncodeError:
        is_safe = False
    if is_safe:
        yield whole
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield f"/dev/fd/{descriptor}"
    finally:
        os.close(descriptor)


def is_cut_short(path: Path) -> bool:
    """Whether an MP4, Matroska, AVI or Flash file announces more bytes than it has; False of what announces none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            announced = int.from_bytes(head[4:8], "little")
            return announced not in (0, 0xFFFFFFFF) and 8 + announced > size
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _matroska_end(file) > size
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return _boxes_end(file, size) > size
        if head[:3] == b"FLV":
            return _tags_end(file, int.from_bytes(head[5:9], "big"), size) > size
    return False


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box of an MP4 file would end (ISO/IEC 14496-12, 4.2)."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return place
        place += length
    return place


def _tags_end(file: BinaryIO, place: int, size: int) -> int:
    """Where the last tag of a Flash file, and the length behind it, would end (Adobe's FLV 10.1, E.3)."""
    place += 4
    while place + 4 <= size:
        file.seek(place)
        place += 11 + int.from_bytes(file.read(4)[1:4], "big") + 4
    return place


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment of a Matroska file would end; 0 where it does not say (RFC 8794, 6)."""
    file.seek(4)
    header, _ = _variable(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length, is_unknown = _variable(file)
    return 0 if is_unknown else file.tell() + length


def _variable(file: BinaryIO) -> tuple[int, bool]:
    """An EBML size, and whether it stands for an unknown one."""
    first = (file.read(1) or b"\0")[0]
    count = 8 - first.bit_length() if first else 7
    value = int.from_bytes(bytes([first & (0x7F >> count)]) + file.read(count), "big")
    return value, value == (1 << 7 * (count + 1)) - 1
