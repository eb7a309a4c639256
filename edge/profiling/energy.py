"""Energy of one frame, on boards that measure their power."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["energy_mj"]

_EVERY_S: Final = 0.1


def energy_mj(
    run: Callable[[], object],
    power_w: Callable[[], float | None],
    *,
    seconds: float = 2.0,
) -> float | None:
    """Energy of the whole board for one run, in millijoules, averaged over ``seconds`` of runs back to back.

    Args:
        run: The work, e.g. the classification of one frame.
        power_w: The board's power now; read ten times a second in another thread.
        seconds: How long to run.

    Returns:
        Mean power times mean time; None where the power cannot be read.
    """
    watts: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            if (now_w := power_w()) is not None:
                watts.append(now_w)

    watcher = threading.Thread(target=watch, name="power", daemon=True)
    watcher.start()
    start_s, runs = time.perf_counter(), 0
    try:
        while runs == 0 or time.perf_counter() - start_s < seconds:
            run()
            runs += 1
        took_s = time.perf_counter() - start_s
    finally:
        ended.set()
        watcher.join(timeout=5.0)
    return round(1e3 * statistics.fmean(watts) * took_s / runs, 3) if watts else None
