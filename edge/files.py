"""Files that are either whole or absent: atomic writing, and checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from edge.errors import EdgeError, ExistsError, OutputError, os_reason
from edge.unfinished import unfinished

__all__ = [
    "check_folder",
    "check_free",
    "check_parent",
    "check_room",
    "new_file",
    "new_folder",
    "sha256_of",
    "shown_name",
    "sync",
    "temporary_folder",
    "write_atomically",
    "writing",
]

_umask_lock = threading.Lock()


def shown_name(path: str | Path) -> str:
    """A path as text that can be printed and sent anywhere: bytes that are not UTF-8 are written as hexadecimal."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path``: readers see the old file or the whole new one, never a part.

    Raises:
        OutputError: The file cannot be written; whatever stood there before still does.
    """
    data = content.encode() if isinstance(content, str) else content
    with new_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to fill, which becomes ``path`` when the block ends well and vanishes when it does not.

    Yields:
        A temporary file beside ``path``, empty.

    Raises:
        OutputError: The file cannot be written; whatever stood there before still does.
    """
    temporary = _name_beside(path)
    with unfinished(temporary):  # before it is there: a signal may come at any moment
        try:
            with writing(path):
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
                yield temporary
                sync(temporary)
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
                sync(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a system error while writing ``path``, within the block, into an error that says how to fix it.

    Raises:
        OutputError: The block met an :class:`OSError` of the system's.
    """
    try:
        yield
    except EdgeError:
        raise
    except OSError as reason:
        raise OutputError(f"Cannot write {path}: {_advice(reason, path)}") from reason


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when the block ends well and vanishes when it does not.

    Args:
        path: Where to put the folder.
        replace: Whether a folder that is already there may be replaced; it is, once the new one is complete.

    Yields:
        A temporary folder beside ``path``.

    Raises:
        OutputError: ``path`` exists and may not be replaced, or cannot be written.
    """
    check_free(path, replace=replace)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path) as temporary:
            yield temporary
            for written in (*temporary.rglob("*"), temporary):
                sync(written)
            temporary.chmod(0o777 & ~_umask())
            if replace:
                _swap_in(temporary, path)
            else:
                _take_free_place(temporary, path)
            sync(path.parent)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder for this user alone beside ``path``, with a name like it, that is gone after the block.

    Raises:
        OutputError: It cannot be made.
    """
    folder = _name_beside(path)
    with unfinished(folder):  # before it is there: a signal may come at any moment
        try:
            with writing(path):
                folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_free(path: Path, *, replace: bool) -> None:
    """Refuse a path that a new folder cannot have, before work is spent on its content.

    Raises:
        OutputError: Something is there that may not be replaced.
    """
    with writing(path):
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file: expected a folder, or a name that is free.")
        if path.exists() and not replace:
            raise ExistsError(f"{path} already exists: expected a name that is free.")
        _check_writable(path.parent)


def check_folder(path: Path) -> None:
    """Refuse a folder to put files into where something else is, before work is spent on them.

    Raises:
        OutputError: It is a file, or lies in one.
    """
    with writing(path):
        there = _nearest(path)
        if there.exists() and not there.is_dir():
            raise NotADirectoryError
        _check_writable(path)


def check_parent(path: Path) -> None:
    """Refuse a file whose folder is missing or cannot be written, before work is spent on its content.

    Raises:
        OutputError: It is so.
    """
    with writing(path):
        if not path.parent.is_dir():
            raise FileNotFoundError
        _check_writable(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk and outlives a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_room(path: Path, needed_bytes: int) -> None:
    """Refuse a file or folder that has no room on the disk, before work is spent on it.

    Args:
        path: Where to put it; its folder exists.
        needed_bytes: What it takes, and what has to stay free besides.

    Raises:
        OutputError: There is less.
    """
    with writing(path):
        free = shutil.disk_usage(path.parent).free
    if free < needed_bytes:
        free_mb, needed_mb = free / 1e6, math.ceil(needed_bytes / 1e6)
        raise OutputError(f"Cannot write {path}: {free_mb:.0f} MB are free and {needed_mb} MB needed. Free some space.")


def _take_free_place(new: Path, path: Path) -> None:
    """Rename in one step that fails where somebody else has put a folder meanwhile."""
    try:
        new.rename(path)
    except OSError:
        check_free(path, replace=False)
        raise


def _swap_in(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = _name_beside(path)
    try:
        path.rename(old)
        new.rename(path)
    except BaseException:  # a signal, too
        if not path.exists():
            old.rename(path)
        raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def _name_beside(path: Path) -> Path:
    """A hidden name beside ``path`` that nothing has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _umask() -> int:
    """The permissions that new files lack. Read where Linux tells them: setting a mask to read it sets all threads'."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    with _umask_lock:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def _check_writable(folder: Path) -> None:
    """Refuse a folder that takes no new files, or the nearest above it that there is.

    Raises:
        OSError: It is another's, or on a disk that is read only.
    """
    there = _nearest(folder)
    if there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise OSError(errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES, "")


def _nearest(path: Path) -> Path:
    """What is there of a path, seen from its end."""
    return next((one for one in (path, *path.parents) if one.exists()), path)


def _advice(reason: OSError, path: Path) -> str:
    """Why a file or folder could not be written and what to do, as the end of a sentence."""
    folder = path.parent
    match reason:
        case FileNotFoundError() if not folder.exists():
            return f"there is no folder {folder}. Make it first."
        case FileExistsError() | NotADirectoryError():
            return f"{_nearest(path)} is not a folder. Choose another place."
        case PermissionError():
            return f"{os_reason(reason)} in {folder}. Choose a folder that is yours."
        case OSError(errno=28):
            return f"{os_reason(reason)} on {folder}. Free some space; nothing half-written was kept."
        case _:
            return f"{os_reason(reason)}."
