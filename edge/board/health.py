"""The state of the machine that decides whether latency figures are valid: heat, clocks, throttling, power, load.

A measurement lies between two snapshots; :func:`objections` says why its figures are not valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.board import sensors
from edge.board.cpu_load import other_load_percent
from edge.board.power import power_w
from edge.board.subprocesses import Run, run_command

__all__ = ["LOAD_LIMIT_PERCENT", "Health", "glance", "objections", "read_health", "throttle_flags"]

LOAD_LIMIT_PERCENT: Final = 25.0
"""Work of other processes that a measurement bears, in percent of one CPU."""

_CLOCK_FALL: Final = 0.8
_FIXED_GOVERNORS: Final = frozenset({"performance", "userspace"})
_FLAGS: Final = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_SINCE_BOOT_SHIFT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at the machine; what it does not report is None or empty."""

    temperature_c: float | None = None
    """The thermal zone that is nearest to its own limit; where none has a limit, the hottest."""
    limit_c: float | None = None
    """Where the kernel begins to slow the board down on account of that zone: its lowest passive trip point."""
    zones_c: Mapping[str, float] = field(default_factory=dict)
    """Every thermal zone by its name."""
    clock_mhz: tuple[int, ...] = ()
    """What each CPU runs at now."""
    clock_max_mhz: tuple[int, ...] = ()
    """What each CPU can run at."""
    gpu_mhz: int | None = None
    """What a Jetson's GPU runs at now."""
    gpu_max_mhz: int | None = None
    governor: str | None = None
    """Frequency governor of all CPUs; where they differ, all names with ``/`` between."""
    throttle_bits: int | None = None
    """A Raspberry Pi's ``vcgencmd get_throttled``; see :func:`throttle_flags`."""
    throttle_events: int | None = None
    """How often the hardware was held back since boot, where it counts that: x86 and Jetson."""
    held_back: tuple[str, ...] = ()
    """The kernel's cooling devices that hold a clock down now."""
    load_percent: float | None = None
    """Work of other processes, in percent of one CPU: 400 is four busy ones."""
    power_mode: str | None = None
    """A Jetson's ``nvpmodel`` mode."""
    power_w: float | None = None
    """What the board draws, where it measures that."""

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, tuples as lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def read_health(
    root: Path = Path("/"), run: Run = run_command, load_percent: Callable[[], float | None] = other_load_percent
) -> Health:
    """Look at the machine whose files lie below ``root``. Takes as long as ``load_percent`` does.

    Args:
        root: Where ``sys`` and ``etc`` are.
        run: Runs ``vcgencmd``, ``nvpmodel`` and ``tegrastats``.
        load_percent: Measures the work of other processes.
    """
    zones = sensors.zones(root)
    critical = sensors.critical_zone(zones)
    return Health(
        temperature_c=critical.celsius if critical else None,
        limit_c=critical.limit_c if critical else None,
        zones_c={zone.name: zone.celsius for zone in zones},
        clock_mhz=sensors.clocks_mhz(root, "scaling_cur_freq"),
        clock_max_mhz=sensors.clocks_mhz(root, "cpuinfo_max_freq"),
        gpu_mhz=sensors.gpu_mhz(root, "cur_freq"),
        gpu_max_mhz=sensors.gpu_mhz(root, "max_freq"),
        governor=sensors.governor(root),
        throttle_bits=sensors.throttle_bits(root, run),
        throttle_events=sensors.throttle_events(root),
        held_back=sensors.held_back(root),
        load_percent=load_percent(),
        power_mode=sensors.power_mode(run),
        power_w=power_w(root, run),
    )


def glance(
    root: Path = Path("/"), run: Run = run_command, load_percent: Callable[[], float | None] = lambda: None
) -> Health:
    """Look at what changes from second to second: heat, throttling and load. Costs little beside classifying."""
    critical = sensors.critical_zone(sensors.zones(root))
    return Health(
        temperature_c=critical.celsius if critical else None,
        limit_c=critical.limit_c if critical else None,
        clock_mhz=sensors.clocks_mhz(root, "scaling_cur_freq"),
        throttle_bits=sensors.throttle_bits(root, run),
        held_back=sensors.held_back(root),
        load_percent=load_percent(),
    )


def throttle_flags(bits: int) -> tuple[str, ...]:
    """The names of the throttle bits that are set.

    >>> throttle_flags(0x50005)
    ('under-voltage now', 'throttled now', 'under-voltage since boot', 'throttled since boot')
    """
    return tuple(f"{name} now" for name in _set(bits)) + tuple(
        f"{name} since boot" for name in _set(bits >> _SINCE_BOOT_SHIFT)
    )


def objections(before: Health, after: Health, load_percent: float | None = None) -> tuple[str, ...]:
    """Why figures measured between two snapshots are not valid, one sentence each; empty if nothing speaks against.

    A value that is not known raises no objection.

    Args:
        before: The machine when the measurement began.
        after: The machine when it ended.
        load_percent: Work of other processes in between, in percent of one CPU.
    """
    found = [*_throttling(before.throttle_bits, after.throttle_bits), *_held_back(before, after)]
    found += _clock_fall(before, after)
    for name, old, new in (
        ("governor", before.governor, after.governor),
        ("power mode", before.power_mode, after.power_mode),
    ):
        if old is not None and new is not None and old != new:
            found.append(f"The {name} changed from {old} to {new} during the run: keep one and measure again.")
    if load_percent is not None and load_percent > LOAD_LIMIT_PERCENT:
        found.append(
            f"Other processes kept {load_percent:.0f} % of one CPU busy, more than {LOAD_LIMIT_PERCENT:.0f} %: stop "
            "them and measure again."
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


def _held_back(before: Health, after: Health) -> list[str]:
    """Objections for what the kernel holds down, and for what the hardware counted in between."""
    found = []
    if names := dict.fromkeys((*before.held_back, *after.held_back)):
        found.append(f"The kernel holds clocks down against heat ({', '.join(names)}): cool the board.")
    if before.throttle_events is not None and (after.throttle_events or 0) > before.throttle_events:
        count = (after.throttle_events or 0) - before.throttle_events
        found.append(f"The hardware was held back {count} times during the run: see to its power supply and cooling.")
    return found


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
