"""Run for minutes, and see what heat makes of the figures of the first seconds."""

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
from edge.vision.preprocess import Frame

__all__ = ["sustain"]

_POINTS: Final = 60
_SHORTEST_S: Final = 1.0
_PER_TURN: Final = 5
_WARM_SHARE: Final = 2 / 3
"""From here on the board counts as being as warm as it gets."""


def sustain(
    classifiers: Mapping[Variant, Classifier],
    frames: Sequence[Frame],
    seconds: float,
    look: Callable[[], Health],
    *,
    progress: Callable[[float], None] = lambda share: None,
    clock: Clock = time.perf_counter,
) -> tuple[tuple[HeatPoint, ...], dict[Variant, float]]:
    """Run every classifier in turn without a pause.

    Args:
        classifiers: What to run, warmed up.
        frames: What to classify.
        seconds: How long.
        look: Looks at the board, some sixty times.
        progress: Told the share done, 0 to 1.
        clock: Seconds.

    Returns:
        The course of heat and slowdown, and each variant's 95th percentile in the last third of the time, in
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
        progress(min(1.0, elapsed_s / seconds))
    return tuple(points), {v: round(float(np.percentile(values, 95)), 4) for v, values in warm_ms.items()}


def _for_a_while(
    classifiers: Mapping[Variant, Classifier], frames: Sequence[Frame], seconds: float, clock: Clock
) -> dict[Variant, list[float]]:
    """What every frame took during ``seconds``, at least one turn of each."""
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
