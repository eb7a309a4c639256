"""When a taught network's answer is ``unknown``, from what it answered to pictures that it had not learned from."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.confidence import Confidence
from edge.evaluation.calibration import calibration_error, error_by_chance
from edge.teaching.head import Lesson

__all__ = ["confidence_of"]

_KEEP: Final = 0.95
"""Share of the known pictures that the threshold keeps, at the least."""


def confidence_of(lesson: Lesson, classes: NDArray[np.intp]) -> Confidence:
    """The threshold, and how well the probabilities fit.

    It lies where it keeps known pictures and stops those of classes that were left out best, but keeps 19 of 20 known
    ones where that can be had; of two classes, where no such strangers are known, just below the known ones.
    """
    best, right = lesson.held_out.max(1), lesson.held_out.argmax(1) == classes
    known = best[right] if right.any() else best
    below = round(_threshold(np.sort(known), np.sort(lesson.strangers)), 4)
    return Confidence(
        unknown_below=below,
        known_kept=_share(known >= below),
        known=len(known),
        false_alarms=_share(lesson.strangers >= below) if len(lesson.strangers) else None,
        nothing=len(lesson.strangers),
        temperature=round(lesson.head.temperature, 4),
        error=round(calibration_error(best, right), 4),
        error_by_chance=round(error_by_chance(best), 4),
        labelled=len(classes),
    )


def _threshold(known: NDArray[np.float64], strangers: NDArray[np.float64]) -> float:
    """Both are sorted."""
    most = float(known[int((1 - _KEEP) * len(known) + 1e-9)])
    if not len(strangers):
        return most * 0.9
    edges = np.concatenate([strangers[strangers < most], [most]])
    gains = [(strangers < edge).mean() + (known >= edge).mean() for edge in edges]
    edge = float(edges[int(np.argmax(gains))])
    below = strangers[strangers < edge]
    return (edge + float(below[-1])) / 2 if len(below) else edge


def _share(hits: NDArray[np.bool_]) -> float:
    return round(float(hits.mean()), 4)
