"""How busy other processes keep the CPUs."""

from __future__ import annotations

import time

import psutil

__all__ = ["LoadMeter", "other_load_percent"]


class LoadMeter:
    """Measures the work of all processes but this one and its children, from one look to the next."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._last = self._look()

    def percent(self) -> float | None:
        """Work of other processes since the last look, in percent of one CPU; None if no time has passed."""
        last, now = self._last, self._look()
        self._last = now
        elapsed_s, busy_s, own_s = (after - before for before, after in zip(last, now, strict=True))
        return round(max(0.0, 100 * (busy_s - own_s) / elapsed_s), 1) if elapsed_s > 0 else None

    def _look(self) -> tuple[float, float, float]:
        """Now, and the CPU seconds used by all processes and the kernel, and by this process and its ended children."""
        times = psutil.cpu_times()
        kinds = ("user", "nice", "system", "irq", "softirq", "steal")
        busy_s = float(sum(getattr(times, kind, 0.0) for kind in kinds))
        user_and_system_of_both = self._own.cpu_times()[:4]
        return time.perf_counter(), busy_s, sum(user_and_system_of_both)


def other_load_percent(interval_s: float = 0.2) -> float | None:
    """Work of all processes but this one and its children during ``interval_s``, in percent of one CPU."""
    meter = LoadMeter()
    time.sleep(interval_s)
    return meter.percent()
