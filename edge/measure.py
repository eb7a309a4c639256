"""Measure what every variant of a bundle takes on this machine, frame to answer.

The variants run in turn, a few frames each, round after round: heat, clocks and other work then fall on all alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

import cv2
import numpy as np
import psutil

from edge.bundle import Bundle
from edge.classify import Classifier, Prediction
from edge.device import Device, describe
from edge.health import Health, objections, read_health
from edge.latency import Latency, LatencyProfile, ProfileRow
from edge.memory import forget_peak, peak_rss_mb
from edge.preprocess import Frame
from edge.variant import Variant

__all__ = ["QUICK", "THOROUGH", "Effort", "Progress", "default_threads", "measure", "timing_frames"]

_FRAME_SIZE: Final = (640, 480)
_PER_ROUND: Final = 5
_WARM_UP_S: Final = 0.15
_WARM_UP_RUNS: Final = 3

Progress = Callable[[str, float], None]
"""Told what is at work and the share done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    runs: int
    """Runs of each variant, if the time allows."""
    most_s: float
    """The longest all variants together may take once they are warm."""


QUICK: Final = Effort(runs=20, most_s=10.0)
THOROUGH: Final = Effort(runs=200, most_s=60.0)


@dataclass(frozen=True, slots=True)
class _Warm:
    """What loading a variant and its first runs took."""

    init_ms: float
    first_ms: float
    peak_rss_mb: float


def default_threads() -> int:
    """Threads for inference where the user names none: the physical cores, at most 4."""
    return min(4, psutil.cpu_count(logical=False) or 1)


def timing_frames(count: int = 4, size: tuple[int, int] = _FRAME_SIZE) -> list[Frame]:
    """Pictures of width and height ``size`` to time with: blurred noise, the same every time."""
    random = np.random.default_rng(0)
    shape = (size[1], size[0], 3)
    noise = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    return [np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8) for frame in noise]


def measure(
    bundle: Bundle,
    *,
    variants: Sequence[Variant] = (),
    backend: str = "auto",
    threads: int | None = None,
    effort: Effort = THOROUGH,
    progress: Progress = lambda stage, share: None,
    device: Callable[[], Device] = describe,
    health: Callable[[], Health] = read_health,
) -> LatencyProfile:
    """Time every variant on frames of 640x480.

    Args:
        bundle: What to measure.
        variants: Some of its variants; none named means all.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for :func:`default_threads`.
        effort: How long to measure.
        progress: Called as the work goes on.
        device: Describes the machine.
        health: Looks at its temperature, clocks and load.

    Raises:
        BackendError: No backend runs a variant.
    """
    chosen = [bundle.find(v).variant for v in dict.fromkeys(variants)] or [entry.variant for entry in bundle.variants]
    used = threads or default_threads()
    frames = timing_frames()
    before = health()
    warm = {}
    for number, variant in enumerate(chosen):
        progress(f"loading {variant.name}", 0.2 * number / len(chosen))
        warm[variant] = _warm_up(bundle, variant, backend, used, frames)
    with ExitStack() as stack:
        opened = [stack.enter_context(Classifier.open(bundle, v, backend=backend, threads=used)) for v in chosen]
        samples = _rounds(opened, frames, effort, lambda share: progress("timing", 0.2 + 0.8 * share))
        rows = [_row(bundle, c, samples[c.variant], warm[c.variant]) for c in opened]
        name, version = opened[0].backend.name, opened[0].backend.version
    after = health()
    doubts = objections(before, after)
    return LatencyProfile(
        bundle=bundle.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        device=device().to_dict(),
        backend=name,
        backend_version=version,
        threads=used,
        frame_size=_FRAME_SIZE,
        before=before.to_dict(),
        after=after.to_dict(),
        valid=not doubts,
        objections=doubts,
        rows=tuple(rows),
    )


def _warm_up(bundle: Bundle, variant: Variant, backend: str, threads: int, frames: Sequence[Frame]) -> _Warm:
    """Load a variant alone: nothing else then counts towards its memory."""
    forget_peak()
    start = time.perf_counter()
    with Classifier.open(bundle, variant, backend=backend, threads=threads) as classifier:
        loaded = time.perf_counter()
        first = classifier.classify(frames[0])
        return _Warm(1e3 * (loaded - start), first.total_ms, peak_rss_mb())


def _rounds(
    classifiers: Sequence[Classifier], frames: Sequence[Frame], effort: Effort, progress: Callable[[float], None]
) -> dict[Variant, list[Prediction]]:
    for classifier in classifiers:
        _settle(classifier, frames)
    samples: dict[Variant, list[Prediction]] = {c.variant: [] for c in classifiers}
    start, done = time.perf_counter(), 0
    while done < effort.runs and (done == 0 or time.perf_counter() - start < effort.most_s):
        count = min(_PER_ROUND, effort.runs - done)
        for classifier in classifiers:
            classifier.classify(frames[0])  # the others pushed it out of the caches: not counted
            samples[classifier.variant] += [classifier.classify(frames[n % len(frames)]) for n in range(count)]
        done += count
        progress(max(done / effort.runs, min(1.0, (time.perf_counter() - start) / effort.most_s)))
    return samples


def _settle(classifier: Classifier, frames: Sequence[Frame]) -> None:
    start, runs = time.perf_counter(), 0
    while runs < _WARM_UP_RUNS or time.perf_counter() - start < _WARM_UP_S:
        classifier.classify(frames[runs % len(frames)])
        runs += 1


def _row(bundle: Bundle, classifier: Classifier, samples: Sequence[Prediction], warm: _Warm) -> ProfileRow:
    latency = Latency.of([s.total_ms for s in samples], init_ms=warm.init_ms, warmup_first_ms=warm.first_ms)
    return ProfileRow(
        variant=classifier.variant,
        latency=latency,
        infer_ms=round(statistics.median(s.infer_ms for s in samples), 4),
        model_sha256=classifier.model_sha256,
        peak_rss_mb=round(warm.peak_rss_mb, 1),
    )
