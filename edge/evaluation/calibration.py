"""Calibration: of the answers with 93 %, are 93 in 100 right?"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "calibration_error", "error_by_chance"]

BINS: Final = 10
"""Bins of equal width that answers are sorted into by their probability."""
_DRAWS: Final = 500


def calibration_error(probabilities: NDArray[np.floating], is_right: NDArray[np.bool_]) -> float:
    """Expected calibration error, 0 to 1: how far the share of right answers is from their mean probability.

    Taken bin by bin and weighted by the bins' pictures. Source: C. Guo et al., "On Calibration of Modern Neural
    Networks", ICML 2017, equation 3.

    Args:
        probabilities: Of the best class, (pictures,).
        is_right: Whether that class was the right one, (pictures,).
    """
    if not len(probabilities):
        return 0.0
    gaps = np.bincount(_bins(probabilities), is_right - probabilities, BINS)
    return float(np.abs(gaps).sum() / len(probabilities))


def error_by_chance(probabilities: NDArray[np.floating]) -> float:
    """What a perfectly calibrated classifier with the same probabilities would show on as many pictures, on average.

    A smaller calibration error than this says no more. Simulated, the same every time.
    """
    if not len(probabilities):
        return 0.0
    drawn = np.random.default_rng(0).random((_DRAWS, len(probabilities))) < probabilities
    return float(np.mean([calibration_error(probabilities, row) for row in drawn]))


def _bins(probabilities: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
