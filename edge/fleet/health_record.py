"""The health record of a board: a file of minutes, one JSON object a line, the last 48 hours in which it ran.

Each line is one write at the end of the file, so that a killed process leaves whole lines and at most one half line,
which readers skip and the next writer ends. Several processes may write: a lock on the file keeps the one that cuts
from losing what another one adds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edge.bundles.registry import bundles_folder
from edge.files import write_atomically
from edge.fleet.health_minute import HealthMinute, parse_minute
from edge.paths import state_folder

__all__ = ["KEPT_S", "NAME", "add_minute", "last_minute", "read_minutes", "record_file", "record_files"]

NAME: Final = "health.jsonl"
KEPT_S: Final = 48 * 3600.0
"""Of each camera, of the time in which it ran."""
_MOST_BYTES: Final = 8_000_000
"""Where ``camera-demo`` starts again and again, say: then the newest half is kept."""
_TAIL_BYTES: Final = 65_536
_SERVICE: Final = "state/mobilenet-edge"
"""Where the service keeps its state, beside the bundles that root installs: the unit's ``XDG_STATE_HOME``."""


def record_file() -> Path:
    """Where this process writes: ``$XDG_STATE_HOME/mobilenet-edge/health.jsonl``, below ``~/.local/state``."""
    return state_folder() / NAME


def record_files(folder: Path | None = None) -> tuple[Path, ...]:
    """Where the records of this machine are: this user's, then the service's.

    Args:
        folder: What the service's state is in; None for the folder of the bundles' folder.
    """
    return tuple(dict.fromkeys((record_file(), (folder or bundles_folder().parent) / _SERVICE / NAME)))


def read_minutes(paths: Iterable[Path] | None = None) -> list[HealthMinute]:
    """All minutes of some files, in the order in which they were written to each.

    What is not a minute is skipped: half a line, a line of a newer schema. Only plain files are read.

    Args:
        paths: The files, which need not exist; None for :func:`record_files`.
    """
    found: list[HealthMinute] = []
    for path in record_files() if paths is None else paths:
        found += [minute for line in _content(path).split(b"\n") if line and (minute := parse_minute(line)) is not None]
    return found


def last_minute(path: Path, camera: str) -> HealthMinute | None:
    """The newest minute of a camera; None where there is none near the end of the record."""
    minutes = map(parse_minute, reversed(_content(path, _TAIL_BYTES).split(b"\n")))
    return next((minute for minute in minutes if minute is not None and minute.camera == camera), None)


def add_minute(path: Path, minute: HealthMinute, *, cut: bool = False) -> None:
    """Add a minute to the end of a record.

    Args:
        path: The record; it and its folder are made.
        minute: The minute.
        cut: Whether to leave out what is older than :data:`KEPT_S`, which reads all of it and so is for now and then.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as handle:
        size = os.fstat(handle).st_size
        is_whole = not size or os.pread(handle, 1, size - 1) == b"\n"
        line = (b"" if is_whole else b"\n") + minute.to_line().encode()
        if os.write(handle, line) < len(line):  # the disk is full now
            os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if cut or size > _MOST_BYTES:
            lines = os.pread(handle, size + len(line), 0).split(b"\n")[:-1]
            kept = _newest(lines)
            if len(kept) < len(lines):
                write_atomically(path, b"\n".join(kept) + b"\n")


def _newest(lines: list[bytes]) -> list[bytes]:
    """The last minutes that fill :data:`KEPT_S` of their camera, whatever the board's clock was; not too many bytes."""
    seconds: dict[str, float] = {}
    size, kept = 0, []
    for line in reversed(lines):
        minute, size = parse_minute(line), size + len(line)
        if size > _MOST_BYTES // 2:
            break
        if minute is not None:
            seconds[minute.camera] = seconds.get(minute.camera, 0.0) + minute.seconds
            if seconds[minute.camera] <= KEPT_S:
                kept.append(line)
    return kept[::-1]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The opened record, which no other process writes to for the length of the block."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_still(path, handle):
                yield handle
                return
        finally:
            os.close(handle)


def _content(path: Path, most_bytes: int = 2 * _MOST_BYTES) -> bytes:
    """The end of a file, by default as much as a record can have; empty where it is no plain file or not readable."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode):
                file.seek(max(0, status.st_size - most_bytes))
                return file.read(most_bytes)
    return b""


def _is_still(path: Path, handle: int) -> bool:
    """Whether an opened file is still the one of this name."""
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(handle))
    return False
