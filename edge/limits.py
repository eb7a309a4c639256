"""The system's limits that a process can run into: what to say when it does."""

from __future__ import annotations

import errno
import resource
from typing import Final

__all__ = ["limit_reached", "require_address_space"]

_FILES: Final = (errno.EMFILE, errno.ENFILE)
_MAPPING: Final = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
"""How the dynamic linker says that there is no memory for a library."""
_THREAD: Final = "can't start new thread"


def limit_reached(error: BaseException) -> str:
    """Which limit an error, or what caused it, ran into and how to raise it; empty where it was none."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in _FILES:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return f"This process may have {most} files open: raise ulimit -n, or LimitNOFILE= of a unit."
        if isinstance(link, MemoryError) or _lacks_memory(link):
            needed = link.args[0] if isinstance(link, _TooLittle) else None
            return f"There is not enough memory{_memory_limit(needed)}."
        if isinstance(link, RuntimeError) and _THREAD in str(link):
            return "No further thread can be started: raise ulimit -u, or TasksMax= of a unit."
        link = link.__cause__ or link.__context__
    return ""


class _TooLittle(MemoryError):  # noqa: N818 - reads as the fact it states
    """How many MB a process must be allowed to address."""


def require_address_space(size_bytes: int) -> None:
    """See that a process whose address space is limited may have so much: native libraries may crash with less.

    Raises:
        MemoryError: It may not.
    """
    if _is_limited() and resource.getrlimit(resource.RLIMIT_AS)[0] < size_bytes:
        raise _TooLittle(size_bytes >> 20)


def _is_limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, LookupError):  # Python says so where it could not load the module of an encoding
        return _is_limited() and str(error).startswith("unknown encoding")
    if isinstance(error, SystemError):  # Python says so where it could not make the exception
        return _is_limited() and "without exception set" in str(error)
    return isinstance(error, ImportError) and any(words in str(error) for words in _MAPPING)


def _memory_limit(needed_mb: int | None) -> str:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return ": close other programs, or raise MemoryMax= of a unit"
    if needed_mb is not None:
        return f": this process may address {most >> 20} MB and needs {needed_mb}. Raise ulimit -v"
    return f": this process may address {most >> 20} MB. Raise ulimit -v"
