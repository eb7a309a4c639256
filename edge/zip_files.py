"""Zip archives of unknown origin: what opening one takes of memory is bounded, and what unpacking a file takes too."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO, Final

__all__ = ["COMPRESSIONS", "DAMAGE", "open_archive", "open_packed"]

DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What reading an archive raises where it is damaged, needs a password, or has a form that zipfile does not know."""
COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others are unpacked whole, however little is read."""
_DIRECTORY_BYTES: Final = 4_000_000
"""The longest list of files: zipfile takes some ten times as much memory for it."""
# Records at the end of an archive, PKWARE's APPNOTE 4.3: how they begin, how long they are, where the list's size is.
_END, _END_BYTES, _END_SIZE = b"PK\x05\x06", 22, 12
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END_64, _END_64_BYTES, _END_64_SIZE = b"PK\x06\x06", 56, 40
_IS_64: Final = 2**32 - 1


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive to be read.

    Raises:
        OSError: It cannot be read.
        BadZipFile: It is no plain file or no archive, or its list of files is too long; or another of :data:`DAMAGE`.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise zipfile.BadZipFile("not a plain file")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES - _END_64_BYTES - (1 << 16)))
        tail = file.read()
    if _directory_bytes(tail) > _DIRECTORY_BYTES:
        raise zipfile.BadZipFile("its list of files is too long")
    return zipfile.ZipFile(path)


def open_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file of an archive, which takes no more memory than is read of it.

    Raises:
        BadZipFile: Its compression cannot be unpacked bit by bit; or another of :data:`DAMAGE`.
    """
    if info.compress_type not in COMPRESSIONS:
        raise zipfile.BadZipFile(f"compression {info.compress_type}, expected stored or deflated")
    return archive.open(info)


def _directory_bytes(tail: bytes) -> int:
    """How long the list of files is, by the records at the end of an archive, found where zipfile finds them.

    Raises:
        BadZipFile: There are none.
    """
    is_plain = tail[-_END_BYTES:].startswith(_END) and tail.endswith(b"\0\0")  # without a comment
    end = len(tail) - _END_BYTES if is_plain else tail.rfind(_END)
    if not 0 <= end <= len(tail) - _END_BYTES:
        raise zipfile.BadZipFile("it has no end record")
    found = int.from_bytes(tail[end + _END_SIZE : end + _END_SIZE + 4], "little")
    locator = end - _LOCATOR_BYTES
    if locator >= 0 and tail.startswith(_LOCATOR, locator):
        long = locator - _END_64_BYTES
        if long < 0 or not tail.startswith(_END_64, long):
            raise zipfile.BadZipFile("its end record of 64 bits is not where it belongs")
        found_64 = int.from_bytes(tail[long + _END_64_SIZE : long + _END_64_SIZE + 8], "little")
        found = found_64 if found == _IS_64 else max(found, found_64)
    return found
