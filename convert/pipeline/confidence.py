"""How far the probabilities of a written file can be trusted, and how each class did in its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data.calibration_data import CalibrationData
from convert.pipeline.verification import Reference
from edge.bundles.confidence import Confidence
from edge.errors import ConfidenceError
from edge.evaluation.calibration import calibration_error
from edge.evaluation.confidence import Answers, measure_confidence
from edge.evaluation.options import ThresholdOptions
from edge.evaluation.picture_answer import PictureAnswer
from edge.evaluation.result import Evaluation

__all__ = ["ConfidenceOf", "evaluation_of", "float_error"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfidenceOf:
    """Says of each file of one variant how far its probabilities can be trusted."""

    data: CalibrationData
    resolution: int
    reference: Reference
    labels: Sequence[str]
    options: ThresholdOptions
    background: int | None
    """The class that stands for nothing in particular."""
    temperature: float | None
    error_before: float | None

    @property
    def nothing(self) -> NDArray[np.uint8] | None:
        """Pictures of nothing in particular, (count, ρ, ρ, channels); None without such."""
        return None if self.data.nothing is None else self.data.nothing.pixels[self.resolution]

    def __call__(
        self, file: str, probabilities: NDArray[np.float32], nothing: NDArray[np.float32] | None
    ) -> tuple[Confidence | None, Evaluation | None]:
        """From a file's answers to the held-out pictures and to those of nothing.

        Raises:
            ConfidenceError: No threshold achieves what is asked.
        """
        known = self.reference.truth >= 0
        false: Answers | None = None
        if nothing is not None:
            ground = -1 if self.background is None else self.background
            false = Answers.of(nothing, np.full(len(nothing), ground))
        try:
            confidence = measure_confidence(
                Answers.of(probabilities[known], self.reference.truth[known]),
                false,
                labels=self.labels,
                options=self.options,
                temperature=self.temperature,
                error_before=self.error_before,
            )
        except ConfidenceError as reason:
            raise ConfidenceError(f"{file}: {reason}") from reason
        paths = () if self.data.nothing is None else self.data.nothing.paths
        return confidence, evaluation_of(probabilities, self.reference, file, self.labels, confidence, false, paths)


def float_error(reference: Reference) -> float | None:
    """The calibration error of the float network on the labelled pictures; None without any."""
    known = reference.truth >= 0
    if not known.any():
        return None
    answers = Answers.of(reference.probabilities[known], reference.truth[known])
    return calibration_error(answers.probabilities, answers.is_right)


def evaluation_of(
    probabilities: NDArray[np.float32],
    reference: Reference,
    name: str,
    labels: Sequence[str],
    confidence: Confidence | None = None,
    nothing: Answers | None = None,
    nothing_paths: Sequence[Path] = (),
) -> Evaluation | None:
    """How each class did in a file's answers to the held-out pictures; None where no class is known.

    Args:
        probabilities: The file's, (held-out pictures, classes).
        reference: The held-out pictures and their classes.
        name: What the model is called.
        labels: The classes' names; empty for their numbers.
        confidence: The thresholds; None for none.
        nothing: The answers to pictures of nothing.
        nothing_paths: Their files.
    """
    if not (reference.truth >= 0).any():
        return None
    labels = labels or [str(number) for number in range(probabilities.shape[1])]
    known = Answers.of(probabilities, reference.truth)
    parts = [(known, reference.paths, False), *([] if nothing is None else [(nothing, tuple(nothing_paths), True)])]
    answers = [
        PictureAnswer(path, None if truth < 0 else truth, best, p, _is_unknown(best, p, confidence), is_nothing)
        for part, paths, is_nothing in parts
        for path, best, p, truth in zip(
            paths, part.best.tolist(), part.probabilities.tolist(), part.truth.tolist(), strict=True
        )
        if truth >= 0 or is_nothing
    ]
    return Evaluation(model=name, measured_on=reference.measured_on, labels=tuple(labels), answers=tuple(answers))


def _is_unknown(best: int, probability: float, confidence: Confidence | None) -> bool:
    return confidence is not None and probability < confidence.class_below.get(best, confidence.unknown_below)
