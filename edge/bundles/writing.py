"""What whoever writes a bundle puts into it, whatever it is made of: labels, entries of files, and the tool's name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from edge.bundles.members import FileEntry
from edge.files import sha256_of

__all__ = ["file_entry", "tool", "write_labels"]

_LABELS: Final = "labels.txt"
_DISTRIBUTION: Final = "mobilenet-edge"


def file_entry(folder: Path, file: str) -> FileEntry:
    """The manifest's entry of a file that is written.

    Args:
        folder: The bundle's.
        file: The file's path below it, with forward slashes.
    """
    path = folder / file
    return FileEntry(file=file, size_bytes=path.stat().st_size, sha256=sha256_of(path))


def write_labels(folder: Path, labels: Sequence[str]) -> FileEntry:
    """Write the labels, one a line."""
    (folder / _LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return file_entry(folder, _LABELS)


def tool() -> str:
    """This package with its version, as the manifest's ``source`` names what wrote it."""
    try:
        return f"{_DISTRIBUTION} {version(_DISTRIBUTION)}"
    except PackageNotFoundError:
        return _DISTRIBUTION
