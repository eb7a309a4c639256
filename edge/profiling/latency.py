"""How long frames take: percentiles of many runs, with confidence intervals.

Names follow LiteRT's ``litert-benchmark --result_json`` where it has them: ``init_ms``, ``warmup_first_ms``,
``avg_ms``, ``median_ms``, ``std_ms``, ``min_ms``, ``max_ms``, ``p5_ms``, ``p95_ms``, ``num_runs``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import BudgetError, ProfileError

__all__ = ["PERCENTILES", "Latency", "interval"]

PERCENTILES: Final = ("p50", "p90", "p95", "p99", "avg", "max")
"""The figures that may be compared with a budget."""

_RESAMPLES: Final = 200
_CONFIDENCE: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds per frame. A figure that is not known is None."""

    avg_ms: float
    std_ms: float | None = None
    min_ms: float | None = None
    p5_ms: float | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    median_low_ms: float | None = None
    """With 95 % confidence the median is at least this. Of a predicted row: the lower end of its error bar."""
    median_high_ms: float | None = None
    p95_low_ms: float | None = None
    p95_high_ms: float | None = None
    init_ms: float | None = None
    """Time to load the model and allocate its tensors."""
    warmup_first_ms: float | None = None
    """The first run, which is not part of the other figures."""
    num_runs: int | None = None
    """The number of runs measured; None where there were none or the source does not say."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ProfileError(f"{name} is {value}: expected a number of milliseconds")
        if self.avg_ms == 0:
            raise ProfileError("avg_ms is 0: expected a number above 0")
        rising = [self.min_ms, self.p5_ms, self.median_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.max_ms]
        known = [value for value in rising if value is not None]
        if any(a > b for a, b in itertools.pairwise(known)):
            raise ProfileError(f"percentiles must rise: min to max are {', '.join(f'{v:g}' for v in known)} ms")
        for name in ("median", "p95"):
            low, value, high = (getattr(self, f"{name}{end}_ms") for end in ("_low", "", "_high"))
            if None not in (low, value, high) and not low <= value <= high:
                raise ProfileError(f"{name}_ms is {value:g}, outside its own interval of {low:g} to {high:g} ms")
        if self.num_runs is not None and self.num_runs < 1:
            raise ProfileError(f"num_runs is {self.num_runs}: expected at least one")

    @classmethod
    def of(cls, rounds_ms: Sequence[Sequence[float]], *, init_ms: float, warmup_first_ms: float) -> Latency:
        """Summarize the latencies of one variant: at least one round, each with the same number of runs."""
        rounds = np.asarray(rounds_ms, np.float64)
        percents = {"min": 0, "p5": 5, "median": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
        figures = dict(zip(percents, np.percentile(rounds, list(percents.values())), strict=True))
        for name in ("median", "p95"):
            low, high = interval(rounds, percents[name])
            figures |= {f"{name}_low": min(low, figures[name]), f"{name}_high": max(high, figures[name])}
        figures |= {"avg": rounds.mean(), "std": rounds.std(), "warmup_first": warmup_first_ms, "init": init_ms}
        return cls(**{f"{name}_ms": round(float(value), 4) for name, value in figures.items()}, num_runs=rounds.size)

    @property
    def is_complete(self) -> bool:
        """Whether every figure is known, as those of a measured variant are."""
        return None not in asdict(self).values()

    def percentile(self, name: str) -> float | None:
        """The figure called ``name``, one of :data:`PERCENTILES`, in milliseconds; None if it is not known.

        Raises:
            BudgetError: The name is not one of them.
        """
        if name not in PERCENTILES:
            raise BudgetError(f"Unknown percentile '{name}': expected one of {', '.join(PERCENTILES)}.")
        value: float | None = getattr(self, {"p50": "median_ms"}.get(name, f"{name}_ms"))
        return value

    def nearest(self, name: str) -> tuple[str, float]:
        """The figure called ``name``; where it is not known, the greatest known one, with its name.

        Published figures are often a mean and a p90, and a mean may lie above a p90.

        Raises:
            BudgetError: The name is not one of :data:`PERCENTILES`.
        """
        value = self.percentile(name)
        if value is not None:
            return name, value
        known = {other: self.percentile(other) for other in PERCENTILES if other != "max"}
        return max(((other, value) for other, value in known.items() if value is not None), key=lambda pair: pair[1])


def interval(rounds_ms: NDArray[np.float64], percent: float) -> tuple[float, float]:
    """A 95 % confidence interval of a percentile, by resampling whole rounds.

    Runs of one round are not independent, because the machine was in the same state; rounds nearly are (block
    bootstrap: Künsch 1989). The same samples give the same interval.

    Args:
        rounds_ms: (rounds, runs) milliseconds.
        percent: 50 for the median.

    Returns:
        Its lower and upper end; the least and the greatest sample where there is one round.
    """
    count = len(rounds_ms)
    if count < 2:
        return float(rounds_ms.min()), float(rounds_ms.max())
    chosen = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))
    found = np.percentile(rounds_ms[chosen].reshape(_RESAMPLES, -1), percent, axis=1)
    low, high = np.percentile(found, _CONFIDENCE)
    return float(low), float(high)
