"""From answers to held-out pictures to thresholds: when an answer is unknown, and when a class may be named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.confidence import Confidence
from edge.errors import ConfidenceError
from edge.evaluation.calibration import calibration_error, error_by_chance
from edge.evaluation.options import ThresholdOptions

__all__ = ["LEAST_RIGHT", "Answers", "confidence_at", "keeping", "measure_confidence"]

LEAST_RIGHT: Final = 20
"""Fewer right answers than this set no threshold: one picture in twenty is what is given up."""
_NAMED: Final = 5
"""Classes that a message names."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A classifier's answers to pictures whose class is known."""

    best: NDArray[np.integer]
    """(pictures,), class numbers."""
    probabilities: NDArray[np.floating]
    """(pictures,), of that class."""
    truth: NDArray[np.integer]
    """(pictures,), class numbers; -1 for pictures of nothing in particular."""

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> Answers:
        """From the probabilities of every class, (pictures, classes)."""
        return cls(probabilities.argmax(1), probabilities.max(1), truth)

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the best class is the true one, (pictures,)."""
        return np.asarray(self.best == self.truth)


def measure_confidence(
    known: Answers,
    nothing: Answers | None = None,
    *,
    labels: Sequence[str],
    options: ThresholdOptions = ThresholdOptions(),
    temperature: float | None = None,
    error_before: float | None = None,
) -> Confidence | None:
    """What answers to held-out pictures say about thresholds and calibration.

    The threshold of unknown keeps the wanted share of the right answers; it is higher where too many pictures of
    nothing would pass it. A class's own is the lowest at which its answers have the wanted precision.

    Args:
        known: Answers to labelled pictures.
        nothing: Answers to pictures of nothing in particular. Where they lie in a folder named as a class is, that
            answer is right.
        labels: The classes' names, for messages.
        options: What the thresholds are to achieve.
        temperature: What the logits are divided by, for the record.
        error_before: The calibration error without that, for the record.

    Returns:
        None where fewer than :data:`LEAST_RIGHT` right answers are known.

    Raises:
        ConfidenceError: No threshold gives a class the wanted precision, or keeps the false alarms to what is allowed.
    """
    right = np.sort(known.probabilities[known.is_right])
    if len(right) < LEAST_RIGHT:
        if options.precision is not None:
            raise ConfidenceError(
                f"{len(right)} right answers to labelled pictures are too few for a precision: expected {LEAST_RIGHT} "
                "or more. Add labelled pictures, or omit the precision."
            )
        return None
    below = keeping(right, options.keep)
    alarms = None if nothing is None else nothing.probabilities[~nothing.is_right]
    if nothing is not None and alarms is not None:
        below = max(below, _quiet(alarms, int(options.false_alarms * len(nothing.best) + 1e-9), options))
    below = _rounded_down(below)
    count = None if nothing is None else len(nothing.best)
    found = confidence_at(below, known, right, alarms, count, temperature=temperature)
    return replace(
        found,
        precision=options.precision,
        class_below={} if options.precision is None else _by_class(known, nothing, below, options.precision, labels),
        error_before=None if error_before is None else round(error_before, 4),
    )


def confidence_at(
    below: float,
    labelled: Answers,
    known: NDArray[np.floating],
    alarms: NDArray[np.floating] | None,
    nothing: int | None = None,
    *,
    temperature: float | None,
) -> Confidence:
    """What a threshold does, and how well the probabilities fit.

    Args:
        below: The threshold; its fifth digit is dropped.
        labelled: Answers to pictures whose class is known.
        known: Probabilities of those that the threshold is to keep.
        alarms: Probabilities of the false answers to pictures of nothing known; None without such pictures.
        nothing: Number of those pictures, if some are answered rightly.
        temperature: What the logits are divided by.
    """
    below = _rounded_down(below)
    return Confidence(
        unknown_below=below,
        known_kept=_share(known >= below),
        known=len(known),
        false_alarms=None if alarms is None else _share(alarms >= below, nothing),
        nothing=0 if alarms is None else nothing or len(alarms),
        temperature=None if temperature is None else round(temperature, 4),
        error=round(calibration_error(labelled.probabilities, labelled.is_right), 4),
        error_by_chance=round(error_by_chance(labelled.probabilities), 4),
        labelled=len(labelled.best),
    )


def keeping(ranked: NDArray[np.floating], share: float) -> float:
    """The highest threshold that keeps at least ``share`` of the probabilities, which rise."""
    return float(ranked[int((1 - share) * len(ranked) + 1e-9)])


def _quiet(alarms: NDArray[np.floating], allowed: int, options: ThresholdOptions) -> float:
    """The lowest threshold that at most ``allowed`` of the false answers reach."""
    if len(alarms) <= allowed:
        return 0.0
    ranked = np.sort(alarms)[::-1]
    top = float(ranked[allowed])
    above = ranked[ranked > top]
    threshold = (top + float(above[-1])) / 2 if len(above) else top + 1e-3
    if threshold > 1:
        raise ConfidenceError(
            f"No threshold keeps false alarms to {options.false_alarms:.0%}: {int((alarms >= top).sum())} of the "
            "pictures of nothing are taken for a class with full probability. Do they show some of the classes? Else "
            "allow more false alarms, or train with a class for everything else."
        )
    return threshold


def _by_class(
    known: Answers, nothing: Answers | None, below: float, precision: float, labels: Sequence[str]
) -> Mapping[int, float]:
    """The classes that need more than ``below``, each with its threshold.

    Of a class that no known picture shows, only false answers are known: its threshold is above them.
    """
    parts = [known] if nothing is None else [known, nothing]
    best = np.concatenate([part.best for part in parts])
    probabilities = np.concatenate([part.probabilities for part in parts])
    is_right = np.concatenate([part.is_right for part in parts])
    found, failed = {}, []
    for class_id in np.unique(best[probabilities >= below]).tolist():
        mine = best == class_id
        if class_id not in known.truth:  # no picture shows it: above what was falsely taken for it
            found[class_id] = round(min(1.0, float(probabilities[mine].max()) + 1e-3), 4)
            continue
        threshold, reached = _precise(probabilities[mine], is_right[mine], below, precision)
        if threshold is None:
            failed.append(f"{labels[class_id]!r} (at best {reached})")
        elif threshold > below:
            found[class_id] = threshold
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise ConfidenceError(
            f"No threshold gives a precision of {precision:.0%} to {', '.join(failed[:_NAMED])}{more}. Ask for less, "
            "leave this variant out, or add pictures to learn from."
        )
    return found


def _precise(
    probabilities: NDArray[np.floating], is_right: NDArray[np.bool_], below: float, precision: float
) -> tuple[float | None, str]:
    """The lowest threshold from ``below`` on with the wanted precision, and in words the best that one reaches."""
    levels = [below, *np.unique(probabilities[probabilities >= below]).tolist()]
    reached, words = -1.0, ""
    for level in levels:
        hits = is_right[probabilities >= level - 1e-9]
        if hits.mean() >= precision - 1e-9:
            return _rounded_down(float(level)), ""
        if hits.mean() > reached:
            reached, words = float(hits.mean()), f"{int(hits.sum())} of {len(hits)} right"
    return None, words


def _rounded_down(probability: float) -> float:
    """With four digits, so that what reaches it still does."""
    return math.floor(min(probability, 1.0) * 1e4 + 1e-6) / 1e4


def _share(hits: NDArray[np.bool_], count: int | None = None) -> float:
    return round(float(hits.sum() / (len(hits) if count is None else count)), 4)
