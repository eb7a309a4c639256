"""A bundle as one file, to be sent about; and reading one from a folder or archive of unknown origin.

Nothing is ever extracted by the archive's own list of files. The manifest is read first, and then exactly the files
that it names, each no longer than it says. So what else an archive may hold (paths that lead elsewhere, links, devices,
gigabytes of zeros) is never touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import FileEntry
from edge.errors import BundleError, os_reason
from edge.files import new_file
from edge.updates.signature import SIGNATURE

__all__ = ["Source", "pack", "reading"]

_CHUNK_BYTES: Final = 1 << 20
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive, so that the same bundle gives the same one."""
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What zipfile raises on damage, on passwords and on forms that it does not know."""


class Source:
    """Where a bundle's files come from."""

    def __init__(self, place: Path, open_file: Callable[[str], IO[bytes]]) -> None:
        self._place, self._open = place, open_file

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """A small file; None if it is not there.

        Raises:
            BundleError: It is longer than ``max_bytes``, or damaged.
        """
        with self._reading(name):
            try:
                file = self._open(name)
            except (KeyError, FileNotFoundError):
                return None
            with file:
                content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise BundleError(f"{name} in {self._place} is longer than {max_bytes} bytes: this is no bundle.")
        return content

    def copy(self, entry: FileEntry, folder: Path) -> None:
        """Copy a file of the bundle into ``folder``, if it is what the manifest says.

        Raises:
            BundleError: It is not there, damaged, or another one.
            OSError: It cannot be written.
        """
        to = folder / PurePosixPath(entry.file)
        to.parent.mkdir(parents=True, exist_ok=True)
        digest, left = hashlib.sha256(), entry.size_bytes + 1
        with to.open("xb") as out:
            for chunk in self._chunks(entry.file, left):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != entry.sha256:
            raise BundleError(f"{entry.file} in {self._place} is not what its manifest says: get the bundle again.")

    def _chunks(self, name: str, most: int) -> Iterator[bytes]:
        """A file piece by piece, up to ``most`` bytes of it."""
        with self._reading(name):
            try:
                file = self._open(name)
            except (KeyError, FileNotFoundError) as reason:
                raise BundleError(f"{self._place} lacks {name}: get the bundle again.") from reason
        with file:
            while most > 0:
                with self._reading(name):
                    chunk = file.read(min(_CHUNK_BYTES, most))
                if not chunk:
                    return
                most -= len(chunk)
                yield chunk

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except BundleError:
            raise
        except _DAMAGE as reason:
            told = os_reason(reason) if isinstance(reason, OSError) else str(reason).rstrip(".")
            raise BundleError(f"Cannot read {name} in {self._place} ({told}): get the bundle again.") from reason


@contextlib.contextmanager
def reading(place: Path) -> Iterator[Source]:
    """A bundle's folder, or a ``.zip`` file of one, open to be read.

    Raises:
        BundleError: It is neither.
    """
    if place.is_dir():
        yield Source(place, lambda name: (place / PurePosixPath(name)).open("rb"))
        return
    try:
        archive = zipfile.ZipFile(place)
    except FileNotFoundError as reason:
        raise BundleError(
            f"There is no {place}: expected a bundle's folder, a .zip file of one, or https://HOST/PATH."
        ) from reason
    except _DAMAGE as reason:
        raise BundleError(
            f"{place} is no .zip file of a bundle: edge bundle pack BUNDLE OUT.zip writes one."
        ) from reason
    with archive:
        root = _root(archive)
        yield Source(place, lambda name: archive.open(f"{root}{name}"))


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


def _root(archive: zipfile.ZipFile) -> str:
    """What stands before the names of the bundle's files: nothing, or the folder that all of it was packed in."""
    names = [name for name in archive.namelist() if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
    return min(names, key=len, default=MANIFEST).removesuffix(MANIFEST)
