"""The files of a bundle: what the manifest may say of them, and how they are opened in a bundle's folder.

A bundle may come from anywhere. So nothing but plain files is opened: no link is followed, and no device, named pipe or
socket touched.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edge.errors import BundleError, OutputError, os_reason
from edge.files import check_free
from edge.text import shortened

__all__ = [
    "LABELS_BYTES",
    "MANIFEST",
    "MANIFEST_BYTES",
    "SIGNATURE",
    "SIGNATURE_BYTES",
    "FileEntry",
    "check_member",
    "check_names",
    "check_picture",
    "check_place",
    "open_member",
    "read_member",
]

MANIFEST: Final = "manifest.json"
MANIFEST_BYTES: Final = 4_000_000
"""The longest manifest that is read: as JSON values it may take twenty times the memory."""
LABELS_BYTES: Final = 16_000_000
"""The longest file of labels."""
SIGNATURE: Final = "manifest.sig"
"""The signature's file, beside the manifest."""
SIGNATURE_BYTES: Final = 64
_LARGEST_BYTES: Final = 10**10
_PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_MOST_PIXELS: Final = 16_000_000
"""Of a golden picture: decoded, it takes three bytes for each. The converter writes 320 x 320 at most."""
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the bundle, and how to verify it."""

    file: str
    """Its path below the bundle's folder, with forward slashes."""
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file.isprintable():
            raise BundleError(f"invalid file name {shortened(repr(self.file))}")
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in self.file:
            raise BundleError(f"file '{self.file}' would lie outside the bundle")
        if str(path) != self.file:
            raise BundleError(f"invalid file name '{self.file}': expected '{path}'")
        if not 0 <= self.size_bytes <= _LARGEST_BYTES or len(self.sha256) != 64:
            raise BundleError(f"file '{self.file}' has an impossible size or SHA-256")


def check_place(out: Path, *, replace: bool) -> None:
    """Refuse a place that a new bundle cannot take, before work is spent on it.

    Raises:
        OutputError: There is a file or folder that may not be replaced; only bundles ever may.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise OutputError(f"{out} is not a bundle, and only bundles are replaced: choose another name.")
    check_free(out, replace=replace)


def check_names(entries: Iterable[FileEntry]) -> None:
    """Refuse files that would overwrite each other, also on a disk that takes ``a`` and ``A`` for the same name.

    Raises:
        BundleError: Two files share a name, one lies inside the other, or one has the manifest's name.
    """
    files: dict[str, FileEntry | None] = {MANIFEST: None, SIGNATURE: None}
    for entry in entries:
        key = entry.file.casefold()
        known = files.setdefault(key, entry)
        if known is None or (known.file, known.sha256) != (entry.file, entry.sha256):
            raise BundleError(f"two different files are named '{entry.file}'")
    for key in files:
        if inside := next((str(parent) for parent in PurePosixPath(key).parents if str(parent) in files), None):
            raise BundleError(f"'{inside}' is both a file and a folder")


def open_member(root: Path, name: str) -> IO[bytes]:
    """Open a plain file below ``root``.

    Raises:
        OSError: It is missing or cannot be read; it is a link, a device, a named pipe or a socket, which stays
            untouched; or a folder on the way to it is a link.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *folders, last = PurePosixPath(name).parts
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        if not stat.S_ISREG(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError("not a plain file")
        file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):  # exchanged meanwhile
        os.close(file)
        raise OSError("not a plain file")
    return os.fdopen(file, "rb")


def read_member(root: Path, name: str, max_bytes: int) -> bytes:
    """The content of a small file below ``root``.

    Raises:
        BundleError: It cannot be read (see :func:`open_member`), or is longer than ``max_bytes``.
    """
    try:
        with open_member(root, name) as file:
            content = file.read(max_bytes + 1)
    except OSError as reason:
        raise BundleError(f"Cannot read {name} in bundle {root}: {os_reason(reason)}.") from reason
    if len(content) > max_bytes:
        raise BundleError(f"{name} in bundle {root} is longer than {max_bytes} bytes: expected a bundle.")
    return content


def check_member(root: Path, entry: FileEntry) -> None:
    """Hold a file of the folder ``root`` against its entry in the manifest.

    Raises:
        BundleError: It is missing, no plain file, or another one.
    """
    path, digest = root / entry.file, hashlib.sha256()
    try:
        with open_member(root, entry.file) as file:
            size = os.fstat(file.fileno()).st_size
            while size == entry.size_bytes and (chunk := file.read(_CHUNK_BYTES)):
                digest.update(chunk)
    except OSError as reason:
        raise BundleError(f"Bundle {root} lacks {entry.file} ({os_reason(reason)}): copy the bundle again.") from reason
    if size != entry.size_bytes:
        raise BundleError(f"Bundle file {path} has {size} bytes, expected {entry.size_bytes}: copy the bundle again.")
    if digest.hexdigest() != entry.sha256:
        raise BundleError(
            f"Bundle file {path} is not the one that was measured: its SHA-256 is {digest.hexdigest()[:12]}…, "
            f"expected {entry.sha256[:12]}…. Copy the bundle again."
        )


def check_picture(root: Path, entry: FileEntry) -> None:
    """Refuse a golden picture that takes too much memory to decode, by the size in its header.

    Raises:
        BundleError: It is not a PNG, or has too many pixels.
    """
    with open_member(root, entry.file) as file:
        head = file.read(len(_PNG) + 8)
    width, height = int.from_bytes(head[-8:-4], "big"), int.from_bytes(head[-4:], "big")
    if not head.startswith(_PNG) or not 0 < width * height <= _MOST_PIXELS:
        raise BundleError(
            f"Golden picture {root / entry.file} is not a PNG of at most {_MOST_PIXELS // 10**6} megapixels: write the "
            "bundle again."
        )
