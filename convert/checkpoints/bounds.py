"""What a file's header announces, held against the file's size before memory is taken for it.

Weights hardly compress and lie in the file once, so that what would be many times larger than the file is damaged or
meant to harm.
"""

from __future__ import annotations

import math
import stat
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from convert.errors import CheckpointError
from edge.errors import os_reason
from edge.zip_files import COMPRESSIONS, open_archive

__all__ = ["LARGEST_RATIO", "check_archive", "check_arrays", "check_header", "check_plain", "check_size", "size_of"]

LARGEST_RATIO: Final = 20
"""How many times larger than its file the weights may be."""
_SPARE_BYTES: Final = 1 << 20
"""What a small file may hold in any case."""
_LONGEST_HEADER: Final = 4_000_000
_PICKLE: Final = "data.pkl"
_MOST_MEMBERS: Final = 100_000


def size_of(path: Path) -> int:
    """The file's size in bytes."""
    return path.stat().st_size


def check_plain(path: Path) -> None:
    """Refuse what is not a plain file, without opening it: a named pipe would be waited for, a device never ends.

    Raises:
        CheckpointError: It is missing, or is not a plain file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as reason:
        cause = os_reason(reason) if isinstance(reason, OSError) else str(reason)
        raise CheckpointError(f"Cannot read checkpoint {path}: {cause}.") from reason
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"Cannot read checkpoint {path}: it is not a plain file, but a pipe, socket or device.")


def check_size(path: Path, name: str, announced_bytes: int) -> None:
    """Refuse what would take much more memory than the whole file has.

    Args:
        path: The file.
        name: What announces it, for the message: "array 'kernel'".
        announced_bytes: How much it would take.

    Raises:
        CheckpointError: It is too much.
    """
    if announced_bytes > LARGEST_RATIO * size_of(path) + _SPARE_BYTES:
        raise CheckpointError(
            f"{path}: {name} would take {announced_bytes / 1e6:,.0f} MB, but the file has {size_of(path) / 1e6:,.1f} "
            "MB: it is damaged."
        )


def check_archive(path: Path) -> None:
    """Refuse a zip archive that would expand to much more than it has.

    Raises:
        CheckpointError: It would, or its members are packed in a way that cannot be expanded bit by bit.
        zipfile.BadZipFile: It is not a zip archive.
    """
    with open_archive(path) as archive:
        members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise CheckpointError(f"{path} has {len(members)} files in it, more than {_MOST_MEMBERS}: it is damaged.")
    for member in members:
        if member.filename.endswith(_PICKLE) and member.file_size > _LONGEST_HEADER:
            raise CheckpointError(
                f"{path}: its list of tensors has {member.file_size} bytes, more than {_LONGEST_HEADER}: it is damaged."
            )
        if member.compress_type not in COMPRESSIONS:
            raise CheckpointError(f"{path}: {member.filename[:80]!r} is packed by another method than deflate.")
    check_size(path, "its content", sum(member.file_size for member in members))


def check_header(path: Path) -> None:
    """Refuse a safetensors file whose header, a JSON object, would take much memory to read.

    Raises:
        CheckpointError: It is that long.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if header_bytes > _LONGEST_HEADER:
        raise CheckpointError(
            f"{path}: a header of {header_bytes} bytes, more than {_LONGEST_HEADER}: it is damaged or cut short."
        )


def check_arrays(path: Path) -> None:
    """Refuse an ``.npz`` whose arrays are not as large as their headers say.

    Raises:
        CheckpointError: An array has another size, or holds Python objects.
        zipfile.BadZipFile: It is not a zip archive.
    """
    check_archive(path)
    with open_archive(path) as archive:
        for member in archive.infolist():
            name = f"array {member.filename[:80]!r}"
            try:
                with archive.open(member) as file:
                    shape, dtype = _header(file)
                    held = member.file_size - file.tell()
            except (ValueError, TypeError, SyntaxError, RuntimeError, EOFError, OSError, zlib.error) as reason:
                line = (str(reason).splitlines() or ["it cannot be read"])[0].rstrip(".")
                raise CheckpointError(f"{path}: {name} is damaged: {line}.") from reason
            if dtype.hasobject:
                raise CheckpointError(f"{path} holds more than arrays of numbers: {name} holds Python objects.")
            announced = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or announced != held:
                raise CheckpointError(f"{path}: {name} of shape {shape} in {dtype} has {held} bytes: it is damaged.")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
