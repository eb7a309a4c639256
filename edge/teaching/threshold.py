"""When a taught network's answer is ``unknown``, from what it answered to pictures that it had not learned from."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.confidence import Confidence
from edge.evaluation.confidence import Answers, confidence_at, keeping
from edge.teaching.head import Lesson

__all__ = ["confidence_of"]

_KEEP: Final = 0.95
"""Share of the known pictures that the threshold keeps, at the least."""


def confidence_of(lesson: Lesson, classes: NDArray[np.intp]) -> Confidence:
    """The threshold, and how well the probabilities fit.

    It lies where it keeps known pictures and stops those of classes that were left out best, but keeps 19 of 20 known
    ones where that can be had; of two classes, where no such strangers are known, just below the known ones.
    """
    answers = Answers.of(lesson.held_out, classes)
    known = answers.probabilities[answers.is_right] if answers.is_right.any() else answers.probabilities
    below = _threshold(np.sort(known), np.sort(lesson.strangers))
    alarms = lesson.strangers if len(lesson.strangers) else None
    return confidence_at(below, answers, known, alarms, temperature=lesson.head.temperature)


def _threshold(known: NDArray[np.floating], strangers: NDArray[np.floating]) -> float:
    """Both are sorted."""
    most = keeping(known, _KEEP)
    if not len(strangers):
        return most * 0.9
    edges = np.concatenate([strangers[strangers < most], [most]])
    gains = [(strangers < edge).mean() + (known >= edge).mean() for edge in edges]
    edge = float(edges[int(np.argmax(gains))])
    below = strangers[strangers < edge]
    return (edge + float(below[-1])) / 2 if len(below) else edge
