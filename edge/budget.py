"""What an answer may cost: latency, accuracy, size, memory and CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Final

from edge.errors import BudgetError
from edge.profiling.latency import PERCENTILES

__all__ = ["Budget"]

_LONGEST_MS: Final = 600_000.0
_LIMITS: Final = ("min_top1", "max_mb", "max_rss_mb", "max_cpu_percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a variant may cost, and how good it must be."""

    latency_ms: float
    """The longest a frame may take."""
    percentile: str = "p95"
    """The latency compared with it, one of :data:`edge.profiling.latency.PERCENTILES`."""
    min_top1: float | None = None
    """The least accuracy, in percent."""
    max_mb: float | None = None
    """The largest model file, in MB of 10^6 bytes."""
    max_rss_mb: float | None = None
    """The most memory the process may take, in MB of 10^6 bytes."""
    max_cpu_percent: float | None = None
    """The largest share of all CPUs that one frame every :attr:`latency_ms` may keep busy."""

    def __post_init__(self) -> None:
        _check_number("latency_ms", self.latency_ms)
        for name in _LIMITS:
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))
        if not (math.isfinite(self.latency_ms) and 0 < self.latency_ms <= _LONGEST_MS):
            raise BudgetError(f"A budget must be above 0 and at most {_LONGEST_MS:.0f} ms, got {self.latency_ms:g} ms.")
        if self.percentile not in PERCENTILES:
            raise BudgetError(f"Unknown percentile '{self.percentile}': expected one of {', '.join(PERCENTILES)}.")
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 100:
            raise BudgetError(f"min_top1 must be between 0 and 100, got {self.min_top1:g}.")
        if self.max_cpu_percent is not None and not 0 < self.max_cpu_percent <= 100:
            raise BudgetError(f"max_cpu_percent must be above 0 and at most 100, got {self.max_cpu_percent:g}.")
        for what, megabytes in (("max_mb", self.max_mb), ("max_rss_mb", self.max_rss_mb)):
            if megabytes is not None and not (math.isfinite(megabytes) and megabytes > 0):
                raise BudgetError(f"{what} must be above 0, got {megabytes:g}.")

    @classmethod
    def of(
        cls,
        budget: Budget | None = None,
        *,
        fps: float | None = None,
        budget_ms: float | None = None,
        **conditions: float | str | None,
    ) -> Budget:
        """The budget as a budget, as frames a second or as milliseconds a frame, of which one must be given.

        Args:
            budget: A whole budget.
            fps: Frames a second to keep up with.
            budget_ms: The longest a frame may take.
            **conditions: The budget's other fields; None for those that are not given. A whole budget has its own.

        Raises:
            BudgetError: None or several of them are given, or a value is out of range.
        """
        if sum(one is not None for one in (budget, fps, budget_ms)) != 1:
            raise BudgetError("A budget is needed: give one of fps, budget_ms and budget, e.g. fps=30.")
        given = {name: value for name, value in conditions.items() if value is not None}
        if budget is not None:
            if not isinstance(budget, cls):
                raise BudgetError(f"Expected a Budget, got {budget!r}: give fps, budget_ms or Budget(latency_ms=...).")
            if given:
                raise BudgetError(f"A Budget is given, and {', '.join(given)} beside it: set them in the Budget.")
            return budget
        if fps is not None:
            _check_number("fps", fps)
            if not (math.isfinite(fps) and fps > 0):
                raise BudgetError(f"fps must be a number above 0, got {fps:g}.")
            if 1000 / fps > _LONGEST_MS:
                raise BudgetError(
                    f"fps must be at least {1000 / _LONGEST_MS:.2g}, one frame in 10 minutes, got {fps:g}."
                )
        return cls(latency_ms=1000 / fps if fps else budget_ms, **given)  # type: ignore[arg-type]


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise BudgetError(f"{name} must be a number, got {value!r}.")
