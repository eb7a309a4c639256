"""What a figure was in the minutes before, and how far the minutes after may differ from it by chance.

Frames of one scene are alike: a camera that looks at a parked car gives the same answer 50 000 times in half an hour.
So not a frame but a *minute* is one observation, whatever its number of frames (they are its weight), and minutes that
follow each other count for less than one each, as far as they are alike too:

    margin = 3 * spread * sqrt((1 / minutes before + 1 / minutes after) * (1 + r) / (1 - r))

``spread`` is the standard deviation of the minutes before, ``r`` the correlation of each with the next (a first-order
autoregressive series has this many independent observations), and the minutes are Kish's effective number: fewer where
a few of them have most of the frames. Five imaginary minutes, in each of which the figure is either 0 or 1, are added
to the spread: so little is concluded from few minutes before. Nothing but the weights of the minutes after enters, so
worse figures after a switch never widen the margin.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Baseline", "bernoulli_margin", "effective", "mean"]

_Z: Final = 3.0
"""Standard errors. A gate is looked at every few minutes of a window, and each look may be wrong: of 300 simulated
windows with equal figures at least 297 passed, whether minutes were correlated by 0, 0.5, 0.8 or 0.95."""
_IMAGINARY: Final = 5
_LEAST_FOR_CORRELATION: Final = 20
_USUAL_CORRELATION: Final = 0.5
_MOST_CORRELATION: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A share, or another figure from 0 to 1, over the minutes before."""

    mean: float
    spread: float
    """Standard deviation between minutes."""
    correlation: float
    """Of each minute with the next."""
    minutes: float
    """Effective number."""

    @classmethod
    def of(cls, values: Sequence[float], weights: Sequence[float]) -> Baseline:
        """The baseline of at least one minute, in order of time.

        Args:
            values: The figure in each minute, 0 to 1.
            weights: The number of frames in each, above 0.
        """
        count, middle, minutes = len(values), mean(values, weights), effective(weights)
        differences = [value - middle for value in values]
        squares = mean([difference**2 for difference in differences], weights) * count
        likely = (middle * minutes + 0.5) / (minutes + 1)
        spread = math.sqrt((squares + _IMAGINARY * likely * (1 - likely)) / (count - 1 + _IMAGINARY))
        correlation = _USUAL_CORRELATION
        if count >= _LEAST_FOR_CORRELATION:
            products = sum(one * other for one, other in itertools.pairwise(differences))
            total = sum(difference**2 for difference in differences)
            correlation = min(_MOST_CORRELATION, max(0.0, products / total)) if total > 0 else 0.0
        return cls(mean=middle, spread=spread, correlation=correlation, minutes=minutes)

    def margin(self, weights: Sequence[float]) -> float:
        """How far the mean of later minutes with these weights may be off by chance."""
        alike = (1 + self.correlation) / (1 - self.correlation)
        return _Z * self.spread * math.sqrt((1 / self.minutes + 1 / effective(weights)) * alike)


def bernoulli_margin(share: float, weights: Sequence[float]) -> float:
    """The margin around a share where nothing is known of before: as if all frames of a minute were the same."""
    return _Z * math.sqrt(share * (1 - share) / effective(weights))


def mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted mean."""
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def effective(weights: Sequence[float]) -> float:
    """Kish's effective number of observations with these weights."""
    return sum(weights) ** 2 / sum(weight**2 for weight in weights)
