"""Run for minutes, to measure how heat changes the latencies of the first seconds."""

from __future__ import annotations

import statistics
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from edge.board.health import Health
from edge.bundles.variant import Variant
from edge.inference.classifier import Classifier
from edge.profiling.profile import HeatPoint
from edge.profiling.timing import Clock
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Frame

__all__ = ["sustained_run"]

_POINTS: Final = 60
_SHORTEST_S: Final = 1.0
_PER_TURN: Final = 5
_WARM_SHARE: Final = 2 / 3
"""After this share of the run the board counts as being as warm as it gets."""


def sustained_run(
    classifiers: Mapping[Variant, Classifier],
    frames: Sequence[Frame],
    seconds: float,
    look: Callable[[], Health],
    *,
    progress: Progress = no_progress,
    clock: Clock = time.perf_counter,
) -> tuple[tuple[HeatPoint, ...], dict[Variant, float]]:
    """Run every classifier in turn without a pause.

    Args:
        classifiers: What to run, warmed up.
        frames: What to classify.
        seconds: How long.
        look: Reads the board's health; called about sixty times.
        progress: Called with "sustained" and the share done.
        clock: Seconds.

    Returns:
        Temperature and slowdown over time, and each variant's 95th percentile in the last third of the run, in
        milliseconds.
    """
    points: list[HeatPoint] = []
    warm_ms = {variant: array("d") for variant in classifiers}
    first_ms: dict[Variant, float] = {}
    every_s, start_s = max(_SHORTEST_S, seconds / _POINTS), clock()
    while not points or clock() - start_s < seconds:
        seen_ms = _for_a_while(classifiers, frames, every_s, clock)
        medians_ms = {variant: statistics.median(values) for variant, values in seen_ms.items()}
        first_ms = first_ms or medians_ms
        elapsed_s = clock() - start_s
        slowdown = statistics.median(medians_ms[variant] / first_ms[variant] for variant in classifiers)
        points.append(_point(elapsed_s, slowdown, look()))
        if elapsed_s >= _WARM_SHARE * seconds:
            for variant, values in seen_ms.items():
                warm_ms[variant].extend(values)
        progress("sustained", min(1.0, elapsed_s / seconds))
    return tuple(points), {v: round(float(np.percentile(values, 95)), 4) for v, values in warm_ms.items()}


def _for_a_while(
    classifiers: Mapping[Variant, Classifier], frames: Sequence[Frame], seconds: float, clock: Clock
) -> dict[Variant, list[float]]:
    """The latencies of the frames of ``seconds``, at least one turn of each classifier."""
    seen_ms: dict[Variant, list[float]] = {variant: [] for variant in classifiers}
    start_s, is_first = clock(), True
    while is_first or clock() - start_s < seconds:
        is_first = False
        for variant, classifier in classifiers.items():
            turn = [classifier.classify(frames[n % len(frames)]).total_ms for n in range(_PER_TURN + 1)]
            seen_ms[variant] += turn[1:]
    return seen_ms


def _point(at_s: float, slowdown: float, health: Health) -> HeatPoint:
    return HeatPoint(
        at_s=round(at_s, 2),
        slowdown=round(slowdown, 4),
        temperature_c=health.temperature_c,
        clock_mhz=max(health.clock_mhz, default=None),
        throttle_bits=health.throttle_bits,
        power_w=health.power_w,
    )
