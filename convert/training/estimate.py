"""What a run will take, before it starts: memory by counting, time by a few real steps."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from convert.training.trainer import Trainer
from edge.bundles.architecture import BLOCKS, STEM_FILTERS, STEM_STRIDE, scaled
from edge.bundles.variant import Variant
from edge.progress import Progress, no_progress

__all__ = ["Estimate", "estimated", "training_mb"]

_COLD_STEPS: Final = 1
"""Not timed: the first one makes threads and buffers."""
_COLD_GPU_STEPS: Final = 16
"""Not timed on a GPU, which loads and tries kernels for every new size: an H100 took 12 s a step at first, for a family
whose sixteen sizes (α, ρ) these steps are likely to have seen. A fixed number: all processes take the same steps."""
_STEPS: Final = 2
"""Timed, after those."""
_COPIES: Final = 5
"""Of every weight: itself, its gradient, AdamW's two means, and its average."""
_BASE_MB: Final = 330.0
"""A process that has loaded torch and OpenCV and made its first step."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take."""

    memory_mb: float
    """Of one process; on a GPU most of it there."""
    seconds: float


def training_mb(variants: Sequence[Variant], batch: int, classes: int) -> float:
    """Memory that a process needs to train ``variants`` in one set of weights, in MB of 10^6 bytes.

    A pass keeps, for its way back, what every convolution gave, before and after batch norm; the largest pass counts.
    One more of the largest layer's outputs is needed in between.
    """
    widest = max(variants)
    weights = widest.parameters(classes).total
    values = max(_kept_values(variant) for variant in variants)
    return _BASE_MB + 4e-6 * (_COPIES * weights + batch * values)


def estimated(trial: Trainer, variants: Sequence[Variant], classes: int, progress: Progress = no_progress) -> Estimate:
    """Take a few steps with ``trial``, a trainer like that of the run to come, and count the memory.

    Args:
        trial: Not usable afterwards. Its recipe must not start on smaller pictures, so that no step is costlier.
        variants: All that it trains.
        classes: Outputs of the networks.
        progress: Called before each step.
    """
    steps = trial.steps()
    cold = _COLD_STEPS if trial.device.type == "cpu" else _COLD_GPU_STEPS
    cold = min(cold, max(1, trial.recipe.steps - _STEPS))
    for number in range(cold):
        progress(f"estimating: step {number + 1}, not timed", number / (cold + _STEPS))
        next(steps)
    started, done = time.perf_counter(), 0
    for done, _ in enumerate(itertools.islice(steps, _STEPS), start=1):
        progress("estimating: timing a few steps", (cold + done) / (cold + _STEPS))
    seconds = (time.perf_counter() - started) / max(1, done) * trial.recipe.steps
    steps.close()
    return Estimate(training_mb(variants, trial.batch, classes), seconds)


def _kept_values(variant: Variant) -> int:
    """Numbers that one picture's pass keeps."""
    side, channels = variant.resolution // STEM_STRIDE, scaled(STEM_FILTERS, variant.alpha)
    total = largest = 2 * side * side * channels
    for block in BLOCKS:
        if block.stride > 1:
            total += side * side * channels  # padded
        side //= block.stride
        out = scaled(block.filters, variant.alpha)
        total += 2 * side * side * (channels + out)
        largest = max(largest, side * side * out)
        channels = out
    return total + 3 * variant.resolution**2 + largest
