"""Files and folders that are being written: they are removed where a process has to end at once."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

__all__ = ["begin", "exit_at_once", "finish", "folder_made", "unfinished"]

_paths: Final[set[Path]] = set()


def begin(path: Path) -> None:
    """Say that ``path`` is there and not whole."""
    _paths.add(path)


def finish(path: Path) -> None:
    """Say that ``path`` is whole, has another name, or is removed."""
    _paths.discard(path)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """``path`` is not whole while the block runs."""
    begin(path)
    try:
        yield
    finally:
        finish(path)


@contextlib.contextmanager
def folder_made(path: Path) -> Iterator[None]:
    """Make a folder and those above it for a block; if the block fails, those that were made and are empty go again."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody has put something there
            for folder in made:
                folder.rmdir()
        raise


def exit_at_once(code: int) -> NoReturn:
    """End the process, whatever it is doing, and leave nothing half-written behind. May be called by any thread."""
    for path in list(_paths):
        with contextlib.suppress(OSError):
            path.unlink() if path.is_symlink() or not path.is_dir() else shutil.rmtree(path, ignore_errors=True)
    os._exit(code)
