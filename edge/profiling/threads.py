"""Threads for the inference: a number, the default, or the fastest count found by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, Literal

from edge.inference.classifier import Classifier
from edge.profiling.timing import StopRule, run_rounds
from edge.vision.preprocess import Frame

__all__ = ["MOST_THREADS", "ThreadChoice", "fastest_threads"]

ThreadChoice = int | Literal["auto"] | None
"""A number, ``auto`` for the fastest of each variant, None for :func:`edge.board.affinity.default_threads`."""

MOST_THREADS: Final = 8
"""More are not tried: MobileNet's layers are too small to share among more."""
_STOP: Final = StopRule(least_rounds=3, most_s=1.0, precision=0.03)
_GAIN: Final = 0.97
"""One more thread must bring the time below this share, or it is not used."""


def fastest_threads(open_with: Callable[[int], Classifier], frames: Sequence[Frame], most: int) -> int:
    """The thread count with the least median time, of 1 to ``most``; of two nearly equal ones the smaller.

    Args:
        open_with: Opens the variant's classifier with this number of threads.
        frames: What to classify.
        most: The greatest count to try, itself at most :data:`MOST_THREADS`.

    Raises:
        BackendError: The variant cannot be opened.
    """
    counts = range(1, min(most, MOST_THREADS) + 1)
    with ExitStack() as stack:
        opened = {count: stack.enter_context(open_with(count)) for count in counts}
        found = run_rounds(opened, frames, _STOP)
    best = 1
    for count in counts:
        if found[count].median_ms < _GAIN * found[best].median_ms:
            best = count
    return best
