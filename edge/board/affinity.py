"""Which CPUs to use: how many threads, and the fast ones on boards whose CPUs differ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import psutil

from edge.board.device import read_line, read_text
from edge.board.sensors import integer

__all__ = [
    "MOST_THREADS",
    "big_cpus",
    "bound",
    "cpu_quota",
    "default_threads",
    "excess_threads",
    "most_threads",
    "usable_cpus",
]

MOST_THREADS: Final = 1024
"""More is a slip of the pen on any board."""
_NEARLY: Final = 0.9
"""CPUs with this share of the greatest capacity count as big: cores of one kind may differ by a bin."""


def usable_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def most_threads() -> int:
    """The most threads that can run side by side: the usable CPUs, or the whole CPUs of a quota that is lower.

    A quota is rounded down: the kernel stops a process that used up its share until the next period, 100 ms later.
    """
    quota = cpu_quota()
    return len(usable_cpus()) if quota is None else max(1, min(len(usable_cpus()), int(quota)))


def default_threads() -> int:
    """Threads for the inference by default: the physical cores that may be used, at most 4."""
    return min(4, psutil.cpu_count(logical=False) or 1, most_threads())


def excess_threads(count: int | None) -> str:
    """A warning where ``count`` is more threads than can run side by side; else, or where it is None, empty."""
    most = most_threads()
    if count is None or count <= most:
        return ""
    cpus = "one CPU" if most == 1 else f"{most} CPUs"
    return f"{count} threads share {cpus}: they wait for one another, and more than {most} is slower"


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPU time a second that the process's cgroups allow it, in seconds: 1.5 is one and a half CPUs.

    The tightest of its cgroup and those around it counts, as ``docker run --cpus`` and systemd's ``CPUQuota=`` set it:
    ``cpu.max`` of cgroup v2, ``cpu.cfs_quota_us`` of v1 (Linux, Documentation/admin-guide/cgroup-v2.rst).

    Args:
        root: Where ``proc`` and ``sys`` are.

    Returns:
        None where nothing limits it.
    """
    found = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount, quota_of = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in ("cpu", controllers)]
            mount, quota_of = next((path for path in mounts if path.is_dir()), mounts[0]), _quota_v1
        else:
            continue
        inside = PurePosixPath(*(part for part in path.split("/") if part not in ("", "..")))
        found += [quota_of(mount / folder) for folder in (inside, *inside.parents)]
    return min((quota for quota in found if quota is not None), default=None)


def _quota_v2(folder: Path) -> float | None:
    """The quota of one cgroup, as ``MICROSECONDS PERIOD`` or ``max PERIOD``."""
    quota_us, _, period_us = (read_line(folder / "cpu.max") or "").partition(" ")
    is_limit = quota_us.isdecimal() and period_us.isdecimal() and int(period_us) > 0
    return int(quota_us) / int(period_us) if is_limit else None


def _quota_v1(folder: Path) -> float | None:
    quota_us, period_us = (integer(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota_us / period_us if quota_us and period_us and quota_us > 0 and period_us > 0 else None


def big_cpus(root: Path = Path("/")) -> tuple[int, ...]:
    """The CPUs of the fastest kind, where there are slower ones as well; else none.

    Linux reports a CPU's capacity on Arm (``cpu_capacity``); elsewhere its highest clock is used.
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
    except OSError:  # a sandbox may forbid it: the profile then says that nothing was bound
        yield ()
        return
    try:
        yield tuple(sorted(wanted))
    finally:
        os.sched_setaffinity(0, before)
