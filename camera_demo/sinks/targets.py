"""Which files the sinks write: none may be one that is read, or another sink's."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from camera_demo.errors import SinkError
from camera_demo.uri import Uri, is_pattern
from edge.files import shown_name
from edge.vision.images import IMAGE_SUFFIXES

__all__ = ["check_targets"]

_FILE_SINKS: Final = ("json", "video")


def check_targets(source: Uri, sinks: Sequence[Uri]) -> None:
    """Refuse to write over a file that is read, by whatever name or link, or to write one file twice.

    Raises:
        SinkError: A sink would do so.
    """
    written: dict[object, Path] = {}
    for path in (Path(sink.location) for sink in sinks if sink.scheme.name in _FILE_SINKS and sink.location):
        if path.exists() and not path.is_file():  # a device or a pipe
            continue
        identity = _identity(path)
        if identity in written:
            first, second = shown_name(written[identity]), shown_name(path)
            raise SinkError(f"The outputs {first} and {second} are the same file: give each its own.")
        written[identity] = path
    existing = {identity: target for identity, target in written.items() if target.is_file()}
    if existing:
        for read in _files_read(source):
            target = existing.get(_identity(read))
            if target is not None:
                is_other = f" {shown_name(read)}, by another name" if target != read else ""
                raise SinkError(f"{shown_name(target)} is the input{is_other}: choose another name for the output.")


def _identity(path: Path) -> object:
    """Equal for two names of one file; of a file that does not exist, its place."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return path.resolve()
    return status.st_dev, status.st_ino


def _files_read(source: Uri) -> Iterator[Path]:
    path = Path(source.location)
    if source.scheme.name not in ("clip", "pictures"):
        return
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES)
    elif is_pattern(source.location) and not path.exists():
        yield from (Path(name) for name in glob.glob(source.location, recursive=True))  # noqa: PTH207 - as it is read
    else:
        yield path
