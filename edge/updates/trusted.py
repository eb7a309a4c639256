"""Where root may install bundles: only where nobody else can lead its writing elsewhere by a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edge.errors import OutputError

__all__ = ["check_trusted"]

_ROOT: int = 0


def check_trusted(folder: Path) -> None:
    """Refuse a folder in which somebody else than root may make links, or has, when root is about to write there.

    A daemon's own folder is the usual case: whoever takes over the daemon would take over root by the next update. The
    folder, all folders around it, also where links lead, and everything in it must belong to root, and none be writable
    by others; ``/tmp`` may (its sticky bit protects what is in it). So nothing can change between this check and the
    writing. For any other user this checks nothing.

    Raises:
        OutputError: Somebody else could lead the writing elsewhere; the message names the file.
    """
    if os.geteuid() != _ROOT:
        return
    absolute, real = folder.absolute(), Path(os.path.realpath(folder))
    around = dict.fromkeys([*reversed(absolute.parents), absolute, *reversed(real.parents), real])
    for path in [*around, *_content(real)]:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        is_sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
        by_others = status.st_mode & (stat.S_IWOTH if status.st_gid == _ROOT else stat.S_IWOTH | stat.S_IWGRP)
        is_open = not stat.S_ISLNK(status.st_mode) and bool(by_others) and not is_sticky
        if status.st_uid != _ROOT or is_open:
            fault = f"belongs to user {status.st_uid}" if status.st_uid != _ROOT else "can be written by others"
            raise OutputError(
                f"Cannot install bundles in {folder} as root: {path} {fault}, expected root alone. "
                f"Remove it, or: chown root {path}; chmod go-w {path}."
            )
        if path not in around and not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise OutputError(
                f"Cannot install bundles in {folder} as root: {path} is a link or a special file: remove it."
            )


def _content(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            yield Path(where, name)
