"""A bundle as one file, to be sent to devices; and reading one from a folder or archive of unknown origin.

Nothing is extracted by the archive's own list of files. The manifest is read first, and then exactly the files that it
names. Before a file is unpacked, its size in the archive must be the manifest's, and its compression one that gives no
more than is read. Whatever else an archive holds (paths that lead elsewhere, links, devices) is not touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edge.bundles.bundle import Bundle
from edge.bundles.members import MANIFEST, SIGNATURE, FileEntry, open_member
from edge.errors import BundleError, os_reason
from edge.files import new_file

__all__ = ["Source", "pack", "reading"]

_CHUNK_BYTES: Final = 1 << 20
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive, so that the same bundle gives the same archive."""
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What zipfile raises on damage, passwords and forms that it does not know."""
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others are unpacked whole, however little is read."""
_DIRECTORY_BYTES: Final = 4_000_000
"""The longest list of files that an archive may have: zipfile takes some ten times as much memory for it."""
_END: Final = (b"PK\x05\x06", 22)
_END_64: Final = (b"PK\x06\x07", 20)
"""Records at the end of an archive, PKWARE's APPNOTE 4.3: how they begin, and how long they are."""


class Source:
    """Where a bundle's files come from."""

    def __init__(self, place: Path, open_file: Callable[[str, int | None], IO[bytes]]) -> None:
        self._place, self._open = place, open_file

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """A small file; None if it is not there.

        Raises:
            BundleError: It is longer than ``max_bytes``, damaged, or not a plain file.
        """
        with self._reading(name):
            try:
                file = self._open(name, None)
            except (KeyError, FileNotFoundError):
                return None
            with file:
                content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise BundleError(f"{name} in {self._place} is longer than {max_bytes} bytes: expected a bundle.")
        return content

    def copy(self, entry: FileEntry, folder: Path) -> None:
        """Copy a file of the bundle into ``folder``, if it is what the manifest says.

        Raises:
            BundleError: It is missing, damaged, or another file.
            OSError: It cannot be written.
        """
        to = folder / PurePosixPath(entry.file)
        to.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with to.open("xb") as out:
            for chunk in self._chunks(entry):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != entry.sha256:
            raise BundleError(f"{entry.file} in {self._place} is not what its manifest says: get the bundle again.")

    def _chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """A file piece by piece, and at most one byte more than the manifest says."""
        with self._reading(entry.file):
            try:
                file = self._open(entry.file, entry.size_bytes)
            except (KeyError, FileNotFoundError) as reason:
                raise BundleError(f"{self._place} lacks {entry.file}: get the bundle again.") from reason
        left = entry.size_bytes + 1
        with file:
            while left > 0:
                with self._reading(entry.file):
                    chunk = file.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except BundleError:
            raise
        except _DAMAGE as reason:
            cause = os_reason(reason) if isinstance(reason, OSError) else str(reason).rstrip(".")
            raise BundleError(f"Cannot read {name} in {self._place} ({cause}): get the bundle again.") from reason


@contextlib.contextmanager
def reading(place: Path) -> Iterator[Source]:
    """A bundle's folder, or a ``.zip`` file of one, open to be read.

    Raises:
        BundleError: It is neither.
    """
    if place.is_dir():
        yield Source(place, lambda name, size_bytes: open_member(place, name))
        return
    try:
        _check_directory(place)
        archive = zipfile.ZipFile(place)
    except FileNotFoundError as reason:
        raise BundleError(
            f"There is no {place}: expected a bundle's folder, a .zip file of one, or https://HOST/PATH."
        ) from reason
    except _DAMAGE as reason:
        raise BundleError(
            f"{place} is not a .zip file of a bundle: edge bundle pack BUNDLE OUT.zip writes one."
        ) from reason
    with archive:
        members = _members(archive, place)
        yield Source(place, lambda name, size_bytes: _open(archive, members[name], size_bytes))


def _check_directory(place: Path) -> None:
    """Refuse an archive whose list of files is too long, before zipfile reads it into memory.

    Raises:
        BadZipFile: It is that long, or not an archive; or its length is of 64 bits, which no bundle needs.
    """
    if not stat.S_ISREG(place.stat().st_mode):
        raise zipfile.BadZipFile("not a plain file")
    signature, length = _END
    with place.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - length - _END_64[1] - (1 << 16)))
        tail = file.read()
    is_plain = tail[-length:].startswith(signature) and tail.endswith(b"\0\0")  # without a comment, as zipfile looks
    start = len(tail) - length if is_plain else tail.rfind(signature)
    if not 0 <= start <= len(tail) - length or tail[start - _END_64[1] : start].startswith(_END_64[0]):
        raise zipfile.BadZipFile("no end record of 32 bits")
    if int.from_bytes(tail[start + 12 : start + 16], "little") > _DIRECTORY_BYTES:
        raise zipfile.BadZipFile("its list of files is too long")


def _members(archive: zipfile.ZipFile, place: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of the bundle in an archive, which may all be in one folder, by name.

    Raises:
        BundleError: Two names are equal, or would be on a disk that takes ``a`` and ``A`` for the same name.
    """
    names = [name for name in archive.namelist() if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
    root = min(names, key=len, default=MANIFEST).removesuffix(MANIFEST)
    members, seen = dict[str, zipfile.ZipInfo](), set[str]()
    for info in archive.infolist():
        if info.filename.casefold() in seen:
            raise BundleError(f"{place} has two files named {info.filename!r}: get the bundle again.")
        seen.add(info.filename.casefold())
        if info.filename.startswith(root):
            members[info.filename.removeprefix(root)] = info
    return members


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size_bytes: int | None) -> IO[bytes]:
    """Open a file of an archive, whose size must be ``size_bytes`` where that is known.

    Raises:
        BadZipFile: It has another size, or a compression that cannot be unpacked piece by piece.
    """
    if info.compress_type not in _COMPRESSIONS:
        raise zipfile.BadZipFile(f"compression {info.compress_type}, expected stored or deflated")
    if size_bytes is not None and info.file_size != size_bytes:
        raise zipfile.BadZipFile(f"it has {info.file_size} bytes, its manifest says {size_bytes}")
    return archive.open(info)


def pack(bundle: Bundle, out: Path, signature: bytes | None = None) -> None:
    """Write a bundle to a ``.zip`` file, with the signature given or else the one that it has.

    Raises:
        OutputError: The file cannot be written.
    """
    names = [MANIFEST, *(entry.file for entry in bundle.manifest.files())]
    contents: dict[str, bytes | Path] = {name: bundle.path(name) for name in dict.fromkeys(names)}
    if signature is not None:
        contents[SIGNATURE] = signature
    elif bundle.path(SIGNATURE).is_file():
        contents[SIGNATURE] = bundle.path(SIGNATURE)
    with new_file(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name, _BEGINNING)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content.read_bytes() if isinstance(content, Path) else content)
