"""Time several classifiers in turn, a few frames each, round after round: what disturbs falls on all alike."""

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
from edge.vision.preprocess import Frame

__all__ = ["FRAME_SIZE", "Clock", "Effort", "Timed", "run_rounds", "settle", "timing_frames"]

FRAME_SIZE: Final = (640, 480)
"""Width and height of the frames that are timed."""
PER_ROUND: Final = 5
_SETTLED: Final = 0.98
"""A block of runs that is not faster than this share of the fastest before it no longer warms up."""
_CALM_BLOCKS: Final = 3
_WARM_UP_S: Final = 2.0
_CHECK_EVERY: Final = 5

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """When to stop measuring: at the precision asked for, or at the time limit."""

    precision: float = 0.01
    """Half the 95 % confidence interval of each median, as a share of it; of each p95 five times that."""
    least_rounds: int = 20
    """Rounds in any case, if the time allows; of five frames each."""
    most_s: float = 40.0
    """The longest all classifiers together may take once they are warm; the first round is always finished."""


@dataclass(slots=True)
class Timed:
    """What one classifier took."""

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
        """Whether the median's interval is that narrow, and the p95's five times that."""
        rounds = np.asarray(self.totals_ms, np.float64)
        for percent, share in ((50, precision), (95, 5 * precision)):
            low, high = interval(rounds, percent)
            if high - low > 2 * share * float(np.percentile(rounds, percent)):
                return False
        return True


def timing_frames(count: int = 4, size: tuple[int, int] = FRAME_SIZE) -> list[Frame]:
    """Pictures of width and height ``size`` to time with: blurred noise, the same every time."""
    random = np.random.default_rng(0)
    shape = (size[1], size[0], 3)
    noise = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    return [np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8) for frame in noise]


def settle(run: Callable[[], object], *, most_s: float = _WARM_UP_S, clock: Clock = time.perf_counter) -> int:
    """Run until it no longer gets faster: caches filled, clocks risen, memory touched.

    A block of five runs counts as calm when its median is not below 98 % of the fastest block's; three calm blocks
    in a row end the warm-up, and so does ``most_s``.

    Returns:
        How many runs it took.
    """
    start_s, runs, calm, fastest_s = clock(), 0, 0, float("inf")
    while calm < _CALM_BLOCKS and (runs == 0 or clock() - start_s < most_s):
        took_s = statistics.median(_elapsed_s(run, clock) for _ in range(PER_ROUND))
        calm = calm + 1 if took_s >= _SETTLED * fastest_s else 0
        fastest_s = min(fastest_s, took_s)
        runs += PER_ROUND
    return runs


def run_rounds(
    classifiers: Mapping[Key, Classifier],
    frames: Sequence[Frame],
    effort: Effort,
    *,
    progress: Callable[[float], None] = lambda share: None,
    clock: Clock = time.perf_counter,
) -> dict[Key, Timed]:
    """Warm every classifier up, then time them round by round, each round in another order.

    Args:
        classifiers: What to time, by any key.
        frames: What to classify, one after the other.
        effort: When to stop.
        progress: Told the share done, 0 to 1.
        clock: Seconds.
    """
    for classifier in classifiers.values():
        settle(lambda classifier=classifier: classifier.classify(frames[0]), clock=clock)  # type: ignore[misc]
    timed = {key: Timed() for key in classifiers}
    order, random = list(classifiers), np.random.default_rng(0)
    start_s, done = clock(), 0
    while done == 0 or clock() - start_s < effort.most_s:
        random.shuffle(order)
        for key in order:
            _turn(classifiers[key], frames, timed[key])
        done += 1
        progress(min(1.0, (clock() - start_s) / max(effort.most_s, 1e-9)))
        is_due = done >= effort.least_rounds and done % _CHECK_EVERY == 0
        if is_due and all(one.is_known_to(effort.precision) for one in timed.values()):
            break
    progress(1.0)
    return timed


def _turn(classifier: Classifier, frames: Sequence[Frame], timed: Timed) -> None:
    """One round of one classifier, after a frame that does not count: the others pushed it out of the caches."""
    classifier.classify(frames[0])
    start_s = time.process_time()
    timed.rounds.append([classifier.classify(frames[n % len(frames)]) for n in range(PER_ROUND)])
    timed.cpu_s += time.process_time() - start_s


def _elapsed_s(run: Callable[[], object], clock: Clock) -> float:
    start_s = clock()
    run()
    return clock() - start_s
