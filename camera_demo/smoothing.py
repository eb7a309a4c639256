"""Answers averaged over time, so that a label does not flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edge.inference.prediction import Guess

__all__ = ["Smoothing"]

_FORGET_AFTER: Final = 10.0
"""Time constants after which the average is discarded."""
_LEAST: Final = 1e-4
"""Probability below which a class is forgotten."""


class Smoothing:
    """An exponential average of each class's probability, by time and not by frames: the rate may change.

    A class that is not among an answer's guesses counts as not seen in it.
    """

    def __init__(self, time_constant_s: float, count: int) -> None:
        """Average over about ``time_constant_s`` seconds and give the best ``count`` classes; 0 s averages nothing."""
        self._time_constant_s, self._count = time_constant_s, count
        self._known: dict[int, Guess] = {}
        self._last_s = -math.inf

    def __call__(self, guesses: Sequence[Guess], now_s: float) -> tuple[Guess, ...]:
        """The average after one more answer, best class first.

        Args:
            guesses: The answer's classes.
            now_s: When it was given; a clock that jumps back counts as standing still.
        """
        keep = self._kept(now_s)
        known = {guess.class_id: guess._replace(probability=(1 - keep) * guess.probability) for guess in guesses}
        for class_id, old in self._known.items():
            added = known[class_id].probability if class_id in known else 0.0
            known[class_id] = old._replace(probability=keep * old.probability + added)
        self._known = {class_id: guess for class_id, guess in known.items() if guess.probability >= _LEAST}
        ranked = sorted(self._known.values(), key=lambda guess: (-guess.probability, guess.class_id))
        return tuple(ranked[: self._count])

    def _kept(self, now_s: float) -> float:
        """The share of the average so far that is left."""
        passed_s, self._last_s = max(0.0, now_s - self._last_s), now_s
        if self._time_constant_s <= 0 or passed_s > _FORGET_AFTER * self._time_constant_s:
            return 0.0
        return math.exp(-passed_s / self._time_constant_s)
