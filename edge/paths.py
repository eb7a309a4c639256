"""This user's folders for what the package keeps: the XDG Base Directory Specification's, by ``platformdirs``.

They are the same on every system, macOS too: the documents and ``install.sh --uninstall`` name them. Without ``HOME``,
the home folder in the system's password database counts, never a folder that several users share.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ENAMETOOLONG
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["AnyPath", "cache_folder", "config_folder", "data_folder", "found_in", "is_there", "state_folder"]

AnyPath: TypeAlias = "str | PathLike[str]"
"""A path as a program gives it."""
_NO_HOME: Final = Path("/nonexistent")
"""Debian's home folder for users without one. Nothing is found there and nothing can be written."""


def cache_folder() -> Path:
    """What can be made or fetched again: ``$XDG_CACHE_HOME/mobilenet-edge``, by default below ``~/.cache``."""
    return _folder("cache", ".cache")


def config_folder() -> Path:
    """What the user configures: ``$XDG_CONFIG_HOME/mobilenet-edge``, by default below ``~/.config``."""
    return _folder("config", ".config")


def data_folder() -> Path:
    """What the user installs: ``$XDG_DATA_HOME/mobilenet-edge``, by default below ``~/.local/share``."""
    return _folder("data", ".local/share")


def state_folder() -> Path:
    """What was measured on this machine: ``$XDG_STATE_HOME/mobilenet-edge``, by default below ``~/.local/state``."""
    return _folder("state", ".local/state")


def _folder(kind: str, below_home: str) -> Path:
    from platformdirs.unix import Unix

    try:
        folder = Path(getattr(Unix("mobilenet-edge"), f"user_{kind}_dir"))
    except RuntimeError:  # newer versions of platformdirs: the user has no home folder
        folder = Path()
    return folder if folder.is_absolute() else _NO_HOME / below_home / "mobilenet-edge"


def found_in(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern in a folder; nothing where this user may not enter it, as of :func:`is_there`."""
    try:
        return list(folder.glob(pattern))
    except PermissionError:
        return []


def is_there(path: Path, is_kind: Callable[[Path], bool]) -> bool:
    """Whether there is something of a kind; what lies in a folder that this user may not enter is not there for it.

    So it is for a service's user whom ``runuser`` leaves in root's folder, with root's ``HOME``.

    Args:
        path: Where to look.
        is_kind: ``Path.is_dir`` or ``Path.is_file``, which fail there.
    """
    try:
        return is_kind(path)
    except ValueError:  # a null character
        return False
    except OSError as reason:
        if isinstance(reason, PermissionError) or reason.errno == ENAMETOOLONG:
            return False
        raise
