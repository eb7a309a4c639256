"""Which CPUs to use: how many threads, and the fast ones on boards whose CPUs differ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

from edge.board.sensors import integer

__all__ = ["big_cpus", "bound", "default_threads", "usable_cpus"]

_NEARLY: Final = 0.9
"""CPUs with this share of the greatest capacity count as big: cores of one kind may differ by a bin."""


def usable_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def default_threads() -> int:
    """Threads for the inference by default: the physical cores that may be used, at most 4."""
    return min(4, psutil.cpu_count(logical=False) or 1, len(usable_cpus()))


def big_cpus(root: Path = Path("/")) -> tuple[int, ...]:
    """The CPUs of the fastest kind, where there are slower ones as well; else none.

    Linux tells a CPU's capacity on Arm (``cpu_capacity``); elsewhere its greatest clock stands in.
    """
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
        values = {int(folder.name[3:]): integer(folder / name) for folder in folders}
        known = {cpu: value for cpu, value in values.items() if value is not None}
        if known:
            big = [cpu for cpu, value in known.items() if value >= _NEARLY * max(known.values())]
            return tuple(sorted(big)) if len(big) < len(known) else ()
    return ()


@contextlib.contextmanager
def bound(cpus: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Bind this thread, and those it starts, to those of ``cpus`` that the process may use, if there are any.

    Yields:
        The CPUs it is bound to; empty where it is not.
    """
    before = os.sched_getaffinity(0)
    wanted = before & set(cpus)
    if not wanted or wanted == before:
        yield ()
        return
    try:
        os.sched_setaffinity(0, wanted)
    except OSError:  # a sandbox may forbid it: the figures then say that nothing was bound
        yield ()
        return
    try:
        yield tuple(sorted(wanted))
    finally:
        os.sched_setaffinity(0, before)
