"""Time several classifiers in turn, a few frames each, round after round, so that disturbances hit all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import cv2
import numpy as np

from edge.inference.classifier import Classifier
from edge.inference.prediction import Prediction
from edge.profiling.latency import Latency, interval
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Frame

__all__ = ["FRAME_SIZE", "Clock", "Samples", "StopRule", "run_rounds", "timing_frames", "warm_up"]

FRAME_SIZE: Final = (640, 480)
"""Width and height of the frames that are timed."""
PER_ROUND: Final = 5
_STEADY: Final = 0.98
"""A block of runs is steady if it is not faster than this share of the fastest block before it."""
_STEADY_BLOCKS: Final = 3
_WARM_UP_S: Final = 2.0
_CHECK_EVERY: Final = 5

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When to stop measuring: at a precision, or at a time limit."""

    precision: float = 0.01
    """Half the 95 % confidence interval of each median, as a share of the median; for each p95, five times that."""
    least_rounds: int = 20
    """Rounds of five frames that are run in any case, if the time allows."""
    most_s: float = 40.0
    """The longest that all classifiers together may take after warming up; the first round is always finished."""


@dataclass(slots=True)
class Samples:
    """The predictions of one classifier, with their times."""

    rounds: list[list[Prediction]] = field(default_factory=list)
    cpu_s: float = 0.0
    """CPU time of all threads of the process during these rounds."""

    @property
    def totals_ms(self) -> list[list[float]]:
        """Frame to answer, by round."""
        return [[prediction.total_ms for prediction in one] for one in self.rounds]

    @property
    def median_ms(self) -> float:
        """The median, frame to answer."""
        return statistics.median(total for one in self.totals_ms for total in one)

    @property
    def cpu_ms(self) -> float:
        """CPU time for one frame."""
        return 1e3 * self.cpu_s / sum(map(len, self.rounds))

    def latency(self, *, init_ms: float, warmup_first_ms: float) -> Latency:
        """The percentiles of all rounds."""
        return Latency.of(self.totals_ms, init_ms=init_ms, warmup_first_ms=warmup_first_ms)

    def stage_ms(self, name: str) -> float:
        """The median of one stage: ``preprocess_ms``, ``infer_ms`` or ``top_k_ms``."""
        return float(statistics.median(getattr(prediction, name) for one in self.rounds for prediction in one))

    def is_known_to(self, precision: float) -> bool:
        """Whether half the interval of the median is within this share of it, and that of the p95 within five times."""
        rounds = np.asarray(self.totals_ms, np.float64)
        for percent, share in ((50, precision), (95, 5 * precision)):
            low, high = interval(rounds, percent)
            if high - low > 2 * share * float(np.percentile(rounds, percent)):
                return False
        return True


def timing_frames(count: int = 4, size: tuple[int, int] = FRAME_SIZE) -> list[Frame]:
    """Frames of width and height ``size`` to time with: blurred noise, the same every time."""
    random = np.random.default_rng(0)
    shape = (size[1], size[0], 3)
    noise = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    return [np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8) for frame in noise]


def warm_up(run: Callable[[], object], *, most_s: float = _WARM_UP_S, clock: Clock = time.perf_counter) -> int:
    """Run until it no longer gets faster: caches are filled, clocks have risen, memory is allocated.

    A block of five runs counts as steady when its median is not below 98 % of the fastest block's; three steady blocks
    in a row end the warm-up, and so does ``most_s``.

    Returns:
        The number of runs.
    """
    start_s, runs, steady, fastest_s = clock(), 0, 0, float("inf")
    while steady < _STEADY_BLOCKS and (runs == 0 or clock() - start_s < most_s):
        took_s = statistics.median(_elapsed_s(run, clock) for _ in range(PER_ROUND))
        steady = steady + 1 if took_s >= _STEADY * fastest_s else 0
        fastest_s = min(fastest_s, took_s)
        runs += PER_ROUND
    return runs


def run_rounds(
    classifiers: Mapping[Key, Classifier],
    frames: Sequence[Frame],
    stop: StopRule,
    *,
    progress: Progress = no_progress,
) -> dict[Key, Samples]:
    """Warm every classifier up, then time them round by round, each round in another order.

    Args:
        classifiers: What to time, by any key.
        frames: What to classify, one after the other.
        stop: When to stop.
        progress: Called with "timing" and the share done.
    """
    for classifier in classifiers.values():
        warm_up(lambda classifier=classifier: classifier.classify(frames[0]))  # type: ignore[misc]
    timed = {key: Samples() for key in classifiers}
    order, random = list(classifiers), np.random.default_rng(0)
    start_s, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - start_s < stop.most_s:
        random.shuffle(order)
        for key in order:
            _turn(classifiers[key], frames, timed[key])
        done += 1
        progress("timing", min(1.0, (time.perf_counter() - start_s) / max(stop.most_s, 1e-9)))
        is_due = done >= stop.least_rounds and done % _CHECK_EVERY == 0
        if is_due and all(one.is_known_to(stop.precision) for one in timed.values()):
            break
    progress("timing", 1.0)
    return timed


def _turn(classifier: Classifier, frames: Sequence[Frame], timed: Samples) -> None:
    """One round of one classifier, after a frame that does not count: the others have replaced it in the caches."""
    classifier.classify(frames[0])
    start_s = time.process_time()
    timed.rounds.append([classifier.classify(frames[n % len(frames)]) for n in range(PER_ROUND)])
    timed.cpu_s += time.process_time() - start_s


def _elapsed_s(run: Callable[[], object], clock: Clock) -> float:
    start_s = clock()
    run()
    return clock() - start_s
