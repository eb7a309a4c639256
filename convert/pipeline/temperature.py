"""Temperature: what logits are divided by, so that probabilities say how often an answer is right.

One number, found on labelled held-out pictures (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
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
_CHOICES: Final = np.geomspace(0.2, 10, 400)
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
    """The temperature under which ``truth`` (pictures,) is likeliest, given ``logits`` (pictures, classes)."""
    logits = logits - logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(truth)), truth]
    costs = [
        float((np.log(np.exp(logits / t).sum(axis=1)) - chosen / t).sum()) + np.log(t) ** 2 / (2 * _PRIOR**2)
        for t in _CHOICES
    ]
    return float(_CHOICES[int(np.argmin(costs))])


def cooled(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What ``probabilities`` (pictures, classes) become when their logits are divided by ``temperature``."""
    logits = np.log(np.maximum(probabilities, _TINY)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
