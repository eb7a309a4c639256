"""One process at a time: lock files, by ``filelock``. The system frees a lock when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import OutputError
from edge.files import writing

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file for the length of the block.

    Args:
        path: The lock file; its folder is made. It stays, and is neither read nor followed where it is a link.
        on_wait: Called once where another process holds it, before waiting for that process. To not wait, raise.

    Raises:
        OutputError: The lock file cannot be written, or something else has its name.
    """
    from filelock import FileLock, Timeout

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_plain(path)
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
            is_free = True
        except Timeout:
            is_free = False
    if not is_free:
        on_wait()
        with writing(path):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check_plain(path: Path) -> None:
    """Refuse a link; filelock follows no symbolic link, and empties a file with a second name in some versions.

    Raises:
        OutputError: ``path`` is there and is not a plain file of one name.
    """
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OutputError(f"{path} is a link or a special file, expected a lock file: remove it.")
