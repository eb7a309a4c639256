"""The state of the machine that makes latency figures honest or not: heat, clocks, throttling, other work.

Two snapshots frame a measurement; :func:`objections` says why the figures between them are not valid.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import psutil

from edge.device import read_line
from edge.errors import ProfileError

__all__ = [
    "LOAD_LIMIT_PERCENT",
    "Health",
    "Run",
    "objections",
    "other_load_percent",
    "read_health",
    "run_command",
    "throttle_flags",
]

Run = Callable[[Sequence[str]], str | None]
"""Runs a command and gives what it printed; None if it is missing, fails or hangs."""

LOAD_LIMIT_PERCENT: Final = 25.0
"""Work of other processes that a measurement bears, in percent of one CPU."""

_CLOCK_FALL: Final = 0.8
_FIXED_GOVERNORS: Final = frozenset({"performance", "userspace"})
_TEMPERATURES_C: Final = (-40.0, 150.0)
_FLAGS: Final = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_SINCE_BOOT_SHIFT: Final = 16
_KINDS: Final = {"governor": ((str,), "a name"), "power_mode": ((str,), "a name"), "throttle_bits": ((int,), "bits")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at the machine; what it does not tell is None or an empty tuple."""

    temperature_c: float | None = None
    """The hottest thermal zone."""
    limit_c: float | None = None
    """Where the kernel begins to slow the board down: the lowest passive trip point of its thermal zones."""
    clock_mhz: tuple[int, ...] = ()
    """What each CPU runs at now."""
    clock_max_mhz: tuple[int, ...] = ()
    """What each CPU can run at."""
    governor: str | None = None
    """Frequency governor of all CPUs; where they differ, all names with ``/`` between."""
    throttle_bits: int | None = None
    """A Raspberry Pi's ``vcgencmd get_throttled``; see :func:`throttle_flags`."""
    load_percent: float | None = None
    """Work of other processes, in percent of one CPU: 400 is four busy ones."""
    power_mode: str | None = None
    """A Jetson's ``nvpmodel`` mode."""

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, tuples as lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Health:
        """What :meth:`to_dict` gave; a field that is missing is not known.

        Raises:
            ProfileError: A field has another type.
        """
        known = {field.name: _checked(field.name, value[field.name]) for field in fields(cls) if field.name in value}
        return cls(**known)


def run_command(command: Sequence[str], timeout_s: float = 2.0) -> str | None:
    """Run a command without a shell and without input, and end it with its children when it hangs.

    Returns:
        Its standard output, or None if it is missing, fails, or takes longer than ``timeout_s``.
    """
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, start_new_session=True
        ) as process:
            try:
                output = process.communicate(timeout=timeout_s)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None
            return output.decode(errors="replace") if process.returncode == 0 else None
    except OSError:
        return None


def other_load_percent(interval_s: float = 0.2) -> float:
    """Work of all processes but this one during ``interval_s``, in percent of one CPU."""
    own = psutil.Process()
    start, busy, mine = time.perf_counter(), _busy_s(), sum(own.cpu_times()[:2])
    time.sleep(interval_s)
    others_s = (_busy_s() - busy) - (sum(own.cpu_times()[:2]) - mine)
    return round(max(0.0, 100 * others_s / (time.perf_counter() - start)), 1)


def read_health(
    root: Path = Path("/"), run: Run = run_command, load_percent: Callable[[], float | None] = other_load_percent
) -> Health:
    """Look at the machine whose files lie below ``root``. Takes as long as ``load_percent`` does.

    Args:
        root: Where ``sys`` is.
        run: Runs ``vcgencmd`` and ``nvpmodel``.
        load_percent: Measures the work of other processes.
    """
    cpus = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"), key=lambda cpu: int(cpu.name[3:]))
    governors = {read_line(cpu / "cpufreq/scaling_governor") for cpu in cpus} - {None}
    return Health(
        temperature_c=_temperature_c(root),
        limit_c=_limit_c(root),
        clock_mhz=_clocks_mhz(cpus, "scaling_cur_freq"),
        clock_max_mhz=_clocks_mhz(cpus, "cpuinfo_max_freq"),
        governor="/".join(sorted(filter(None, governors))) or None,
        throttle_bits=_throttle_bits(root, run),
        load_percent=load_percent(),
        power_mode=_power_mode(run(["nvpmodel", "-q"]) or ""),
    )


def throttle_flags(bits: int) -> tuple[str, ...]:
    """The names of the throttle bits that are set.

    >>> throttle_flags(0x50005)
    ('under-voltage now', 'throttled now', 'under-voltage since boot', 'throttled since boot')
    """
    return tuple(f"{name} now" for name in _set(bits)) + tuple(
        f"{name} since boot" for name in _set(bits >> _SINCE_BOOT_SHIFT)
    )


def objections(before: Health, after: Health, *, load_limit_percent: float = LOAD_LIMIT_PERCENT) -> tuple[str, ...]:
    """Why figures measured between two snapshots are not valid, one sentence each; empty if nothing speaks against.

    What is not known is no objection.
    """
    found = [*_throttling(before.throttle_bits, after.throttle_bits), *_clock_fall(before, after)]
    for name, old, new in (
        ("governor", before.governor, after.governor),
        ("power mode", before.power_mode, after.power_mode),
    ):
        if old is not None and new is not None and old != new:
            found.append(f"The {name} changed from {old} to {new} during the run: keep one and measure again.")
    load = max(before.load_percent or 0.0, after.load_percent or 0.0)
    if load > load_limit_percent:
        found.append(
            f"Other processes kept {load:.0f} % of one CPU busy, more than {load_limit_percent:.0f} %: stop them and "
            "measure again."
        )
    return tuple(found)


def _throttling(before: int | None, after: int | None) -> list[str]:
    now = (before or 0) | (after or 0)
    new = 0 if before is None or after is None else (after & ~before) >> _SINCE_BOOT_SHIFT
    return [
        *(f"The board reports {name} now: see to its power supply and cooling." for name in _set(now)),
        *(
            f"The board reports {name} during the run: see to its power supply and cooling."
            for name in _set(new & ~now)
        ),
    ]


def _clock_fall(before: Health, after: Health) -> list[str]:
    """An objection if the fastest CPU fell although the governor holds the clock: the others may be idle."""
    if not before.clock_mhz or not after.clock_mhz or before.governor not in _FIXED_GOVERNORS:
        return []
    old, new = max(before.clock_mhz), max(after.clock_mhz)
    if new >= _CLOCK_FALL * old:
        return []
    return [f"The clock fell from {old} to {new} MHz under the governor {before.governor}: the board was held back."]


def _set(bits: int) -> list[str]:
    """The names of the lowest four bits that are set."""
    return [name for position, name in enumerate(_FLAGS) if bits >> position & 1]


def _busy_s() -> float:
    """CPU seconds that all processes and the kernel have used since boot."""
    times = psutil.cpu_times()
    kinds = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, kind, 0.0) for kind in kinds))


def _temperature_c(root: Path) -> float | None:
    low, high = _TEMPERATURES_C
    zones = (_integer(zone / "temp") for zone in (root / "sys/class/thermal").glob("thermal_zone*"))
    known = [zone / 1000 for zone in zones if zone is not None and low <= zone / 1000 <= high]
    return max(known, default=None)


def _limit_c(root: Path) -> float | None:
    kinds = (root / "sys/class/thermal").glob("thermal_zone*/trip_point_*_type")
    passive = (kind for kind in kinds if read_line(kind) == "passive")
    limits_c = ((_integer(kind.with_name(kind.name.removesuffix("type") + "temp")) or 0) / 1000 for kind in passive)
    return min((limit for limit in limits_c if 0 < limit <= _TEMPERATURES_C[1]), default=None)


def _clocks_mhz(cpus: Sequence[Path], name: str) -> tuple[int, ...]:
    clocks = (_integer(cpu / "cpufreq" / name) for cpu in cpus)
    return tuple(round(clock / 1000) for clock in clocks if clock is not None)


def _integer(path: Path) -> int | None:
    try:
        return int(read_line(path) or "")
    except ValueError:
        return None


def _throttle_bits(root: Path, run: Run) -> int | None:
    """From ``throttled=0x50005``, else from the firmware driver's file, which has the digits alone."""
    if told := re.search(r"throttled=0x([0-9a-fA-F]+)", run(["vcgencmd", "get_throttled"]) or ""):
        return int(told[1], 16)
    for path in sorted((root / "sys/devices/platform").glob("soc*/*:firmware/get_throttled")):
        if digits := re.fullmatch(r"(?:0x)?([0-9a-fA-F]+)", read_line(path) or ""):
            return int(digits[1], 16)
    return None


def _power_mode(told: str) -> str | None:
    mode = re.search(r"NV Power Mode:\s*(\S+)", told)
    return mode[1] if mode else None


def _checked(name: str, value: Any) -> Any:
    """``value`` as the field ``name`` of a Health holds it."""
    if name in ("clock_mhz", "clock_max_mhz"):
        if isinstance(value, list) and all(type(clock) is int for clock in value):
            return tuple(value)
        raise ProfileError(f"{name} is {value!r}: expected a list of MHz.")
    kinds, expected = _KINDS.get(name, ((int, float), "a number"))
    if value is None or type(value) in kinds:
        return value
    raise ProfileError(f"{name} is {value!r}: expected {expected} or null.")
