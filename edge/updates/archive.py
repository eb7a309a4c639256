"""A bundle as one file, to be sent to devices; and reading one from a folder or archive of unknown origin.

Nothing is extracted by the archive's own list of files. The manifest is read first, and then exactly the files that it
names. Before a file is unpacked, its size in the archive must be the manifest's, and its compression one that gives no
more than is read. Whatever else an archive holds (paths that lead elsewhere, links, devices) is not touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edge.bundles.bundle import Bundle
from edge.bundles.members import MANIFEST, SIGNATURE, FileEntry, open_member
from edge.errors import BundleError, os_reason
from edge.files import new_file
from edge.text import shortened
from edge.zip_files import DAMAGE, open_archive, open_packed

__all__ = ["Source", "pack", "reading"]

_CHUNK_BYTES: Final = 1 << 20
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive, so that the same bundle gives the same archive."""


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
        except DAMAGE as reason:
            cause = os_reason(reason) if isinstance(reason, OSError) else shortened(str(reason).rstrip("."))
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
        archive = open_archive(place)
    except FileNotFoundError as reason:
        raise BundleError(
            f"There is no {place}: expected a bundle's folder, a .zip file of one, or https://HOST/PATH."
        ) from reason
    except DAMAGE as reason:
        raise BundleError(
            f"{place} is not a .zip file of a bundle: edge bundle pack BUNDLE OUT.zip writes one."
        ) from reason
    with archive:
        members = _members(archive, place)
        yield Source(place, lambda name, size_bytes: _open(archive, members[name], size_bytes))


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
            raise BundleError(f"{place} has two files named {shortened(repr(info.filename))}: get the bundle again.")
        seen.add(info.filename.casefold())
        if info.filename.startswith(root):
            members[info.filename.removeprefix(root)] = info
    return members


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size_bytes: int | None) -> IO[bytes]:
    """Open a file of an archive, whose size must be ``size_bytes`` where that is known.

    Raises:
        BadZipFile: It has another size, or a compression that cannot be unpacked piece by piece.
    """
    if size_bytes is not None and info.file_size != size_bytes:
        raise zipfile.BadZipFile(f"it has {info.file_size} bytes, its manifest says {size_bytes}")
    return open_packed(archive, info)


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
