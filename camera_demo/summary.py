"""Summary of a stream: frames, times, and the labels that were seen."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from camera_demo.frames import Result

__all__ = ["FrameRate", "Stats", "Summary"]

_KEPT_FRAMES: Final = 100_000
"""Latencies kept for the percentiles, the newest: most of an hour at 30 frames a second."""
_MOST_RUNS: Final = 30
"""Runs that are listed one by one; of more, only each label's share is given."""
_MOST_LABELS: Final = 10
_WINDOW: Final = 31


class FrameRate:
    """Answers a second over the last thirty."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=_WINDOW)

    def tick(self, now_s: float) -> float:
        """Count an answer at ``now_s`` and return the rate, 0 before the second."""
        self._times_s.append(now_s)
        span_s = now_s - self._times_s[0]
        return (len(self._times_s) - 1) / span_s if span_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Figures of one stream."""

    frames: int
    seconds: float
    fps: float
    median_ms: float
    """From capture to answer."""
    p95_ms: float
    over_budget: float
    """Share of frames, 0 to 1, whose classification took longer than the budget of the moment."""
    budget_ms: float
    """The last one."""
    dropped: int
    seen: tuple[str, ...]
    """Labels in order of appearance, with times and mean probability; of many, each with its share."""
    variants: tuple[str, ...]
    """Variants that answered, the most frequent first; of several, each with its share."""
    backend: str
    """Name, version and threads."""

    def lines(self) -> tuple[str, ...]:
        """The summary for people."""
        if not self.frames:
            return (f"No frame in {self.seconds:.1f} s.",)
        dropped = f"; {self.dropped} dropped" if self.dropped else ""
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        return (
            f"{frames} in {self.seconds:.1f} s, {self.fps:.1f} fps{dropped}",
            f"capture to answer: median {self.median_ms:.1f} ms, p95 {self.p95_ms:.1f} ms; "
            f"{self.over_budget:.1%} of frames over the budget of {self.budget_ms:.1f} ms",
            f"seen: {', '.join(self.seen)}",
            f"{', '.join(self.variants)} on {self.backend}",
        )


@dataclass(slots=True)
class _Run:
    label: str
    start_s: float
    end_s: float = 0.0
    frames: int = 0
    probability_sum: float = 0.0
    is_class: bool = False

    def add(self, result: Result) -> None:
        self.frames += 1
        self.end_s = result.frame.position_s
        self.probability_sum += result.best.probability if result.best else 0.0
        self.is_class |= result.best is not None

    @property
    def certainty(self) -> str:
        return "" if not self.is_class else f" {100 * self.probability_sum / self.frames:.0f} %"


class Stats:
    """Counts answers as they come, in bounded memory."""

    def __init__(self, *, backend: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start counting now."""
        self._clock, self._start_s = clock, clock()
        self._last_s = self._start_s
        self._budget_ms, self._backend = 0.0, backend
        self._variants: Counter[str] = Counter()
        self._answers_ms: deque[float] = deque(maxlen=_KEPT_FRAMES)
        self._frames = self._over = self._dropped = self._runs_begun = 0
        self._runs: deque[_Run] = deque(maxlen=_MOST_RUNS)
        self._newest: dict[str, _Run] = {}
        self._totals: dict[str, _Run] = {}

    @property
    def frames(self) -> int:
        """Answers so far."""
        return self._frames

    def add(self, result: Result) -> None:
        """Count one answer."""
        self._frames += 1
        self._last_s = self._clock()
        self._answers_ms.append(result.answer_ms)
        self._over += result.is_late
        self._budget_ms = result.budget_ms
        self._variants[result.variant] += 1
        self._dropped = result.dropped
        region = result.region_name
        label = f"{region}: {result.label}" if region else result.label
        run = self._newest.get(region)
        if run is None or run.label != label:
            self._newest[region] = run = _Run(label, result.frame.position_s)
            self._runs.append(run)
            self._runs_begun += 1
        run.add(result)
        self._totals.setdefault(label, _Run(label, result.frame.position_s)).add(result)

    def summary(self) -> Summary:
        """The figures from the start to the last answer."""
        seconds = (self._last_s if self._frames else self._clock()) - self._start_s
        median_ms, p95_ms = np.percentile(self._answers_ms, [50, 95]) if self._frames else (0.0, 0.0)
        return Summary(
            frames=self._frames,
            seconds=seconds,
            fps=self._frames / seconds if seconds > 0 else 0.0,
            median_ms=float(median_ms),
            p95_ms=float(p95_ms),
            over_budget=self._over / max(1, self._frames),
            budget_ms=self._budget_ms,
            dropped=self._dropped,
            seen=self._seen(),
            variants=self._shares(),
            backend=self._backend,
        )

    def _shares(self) -> tuple[str, ...]:
        if len(self._variants) == 1:
            return tuple(self._variants)
        return tuple(f"{name} in {count / self._frames:.0%}" for name, count in self._variants.most_common())

    def _seen(self) -> tuple[str, ...]:
        if self._runs_begun <= _MOST_RUNS:
            return tuple(f"{r.label} {_clock(r.start_s)}-{_clock(r.end_s)}{r.certainty}" for r in self._runs)
        ranked = sorted(self._totals.values(), key=lambda run: -run.frames)
        shares = [f"{r.label} in {r.frames / self._frames:.0%} of frames" for r in ranked[:_MOST_LABELS]]
        rest = len(ranked) - len(shares)
        return (*shares, f"{rest} more") if rest else tuple(shares)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
