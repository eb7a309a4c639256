"""The system's limits that a process can run into: what to say when it does."""

from __future__ import annotations

import errno
import resource
from typing import Final

__all__ = ["limit_reached"]

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
            return f"There is not enough memory{_memory_limit()}."
        if isinstance(link, RuntimeError) and _THREAD in str(link):
            return "No further thread can be started: raise ulimit -u, or TasksMax= of a unit."
        link = link.__cause__ or link.__context__
    return ""


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, LookupError):  # Python says so where it could not load the module of an encoding
        is_limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
        return is_limited and str(error).startswith("unknown encoding")
    return isinstance(error, ImportError) and any(words in str(error) for words in _MAPPING)


def _memory_limit() -> str:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return ": close other programs, or raise MemoryMax= of a unit"
    return f": this process may address {most >> 20} MB. Raise ulimit -v"
