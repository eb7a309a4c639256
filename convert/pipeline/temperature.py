"""Temperature: what logits are divided by, so that probabilities say how often an answer is right.

One number, found on labelled held-out pictures (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017),
but by how likely it makes it that the best classes are right or wrong as they are, for that is what is promised: the
likelihood of the true classes overshoots where some pictures are labelled wrongly. docs/confidence.md compares both.
It goes into the last layer's weights and bias, or their scales in int8: no frame costs more, in any format.
"""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.pipeline.verification import Reference

__all__ = ["LEAST_LABELLED", "cooled", "find_temperature", "fit_temperature"]

LEAST_LABELLED: Final = 20
"""Labelled pictures that a temperature is found on, at least."""
_PRIOR: Final = 0.5
"""How far temperatures usually are from 1, as a deviation of their logarithm: few pictures alone say too little."""
_CHOICES: Final = np.geomspace(0.2, 10, 200)
_LEAST: Final = 1e-6
"""The least likelihood of an answer: one picture alone does not decide."""
_TINY: Final = np.finfo(np.float32).tiny
_log = logging.getLogger(__name__)


def find_temperature(reference: Reference, name: str) -> float | None:
    """The temperature by the labelled pictures of ``reference``; None, with a warning, where those are too few.

    Args:
        reference: The float network's answers with temperature 1.
        name: The variant, for the warning.
    """
    known = reference.truth >= 0
    if not known.any():
        return None
    if known.sum() < LEAST_LABELLED:
        _log.warning(
            "%s: only %d labelled pictures held back, its probabilities stay uncalibrated: %d or more are needed",
            name,
            known.sum(),
            LEAST_LABELLED,
        )
        return None
    return fit_temperature(np.log(np.maximum(reference.probabilities[known], _TINY)), reference.truth[known])


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The temperature that makes the best classes' being right or wrong likeliest.

    Args:
        logits: (pictures, classes), each row up to a constant.
        truth: (pictures,).
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    is_right = logits.argmax(axis=1) == truth
    costs = []
    for temperature in _CHOICES:
        best = 1 / np.exp(logits / temperature).sum(axis=1)
        likely = np.where(is_right, best, 1 - best)
        costs.append(-np.log(np.maximum(likely, _LEAST)).sum() + np.log(temperature) ** 2 / (2 * _PRIOR**2))
    return float(_CHOICES[int(np.argmin(costs))])


def cooled(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What ``probabilities`` (pictures, classes) become when their logits are divided by ``temperature``."""
    logits = np.log(np.maximum(probabilities, _TINY)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
