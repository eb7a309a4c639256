"""The loop: frame, answer, sinks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from camera_demo.frames import CapturedFrame, Result
from camera_demo.overlay import draw
from camera_demo.region import Region
from camera_demo.sinks.base import Sink, WatcherLeft
from camera_demo.smoothing import Smoothing
from camera_demo.sources.base import Source
from camera_demo.sources.prefetch import BackgroundSource
from camera_demo.stop import Stop
from camera_demo.summary import Stats
from edge.bundles.variant import Variant
from edge.inference.backends import Backend
from edge.inference.prediction import Prediction, Prepared
from edge.vision.preprocess import Frame

__all__ = ["Classifies", "ClassifyOptions", "FrameRate", "LiveLoop"]

_WINDOW: Final = 31


class Classifies(Protocol):
    """A classifier, whether its variant changes or not."""

    @property
    def variant(self) -> Variant:
        """The variant that gave the last answer."""

    @property
    def backend(self) -> Backend:
        """The backend that gave the last answer."""

    def classify(self, frame: Frame, prepared: Prepared | None = None) -> Prediction:
        """Classify one frame, uint8 (height, width, 3) BGR, or what was prepared of it."""

    def preparer(self) -> Callable[[Frame], Prepared]:
        """Prepares frames on one other thread."""


class FrameRate:
    """Answers a second over the last thirty."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=_WINDOW)

    def tick(self, now_s: float) -> float:
        """Count an answer at ``now_s`` and return the rate, 0 before the second."""
        self._times_s.append(now_s)
        span_s = now_s - self._times_s[0]
        return (len(self._times_s) - 1) / span_s if span_s > 0 else 0.0


class ClassifyOptions:
    """Which part of a picture is looked at, and which of the guesses are shown."""

    def __init__(
        self, *, threshold: float = 0.0, smoothing: Smoothing | None = None, region: Region | None = None
    ) -> None:
        """Prepare it.

        Args:
            threshold: Probability, 0 to 1, below which a guess is not shown.
            smoothing: Averages the guesses over time; None takes each answer as it is.
            region: The part of the picture to classify; None for all of it.
        """
        self.threshold, self.smoothing, self.region = threshold, smoothing, region


class LiveLoop:
    """Classifies the frames of a source and shows each answer to every sink."""

    def __init__(
        self,
        classifier: Classifies,
        sinks: Sequence[Sink],
        stats: Stats,
        *,
        options: ClassifyOptions | None = None,
        budget_ms: Callable[[], float] = lambda: float("inf"),
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the loop.

        Args:
            classifier: An opened classifier.
            sinks: Opened sinks.
            stats: Counts the answers.
            options: What is looked at and shown.
            budget_ms: What a frame may take, now.
            beat: Called before each frame, and several times a second while none comes.
            clock: The clock that stamps the source's frames.
            wall_clock: Seconds since 1970.
        """
        self._classifier, self._sinks, self._stats, self._options = (
            classifier,
            sinks,
            stats,
            options or ClassifyOptions(),
        )
        self._budget_ms, self._beat, self._clock, self._wall_clock = budget_ms, beat, clock, wall_clock
        self._rate = FrameRate()

    def run(self, source: Source, stop: Stop, *, max_frames: int | None = None) -> None:
        """Run until the source ends, somebody wants the end, nobody watches, or ``max_frames`` answers are given.

        Raises:
            SourceError: The source broke off.
            SinkError: A sink broke.
            OutputError: A file cannot be written.
            BackendError: The runtime failed.
        """
        if isinstance(source, BackgroundSource):
            source.prepare = self._preparer()
        for frame in source.frames(stop):
            self._beat()
            if frame is None:
                continue
            result = self._answer(frame, source.dropped)
            self._stats.add(result)
            try:
                for sink in self._sinks:
                    sink.show(result)
            except WatcherLeft:
                return
            if stop.is_requested or self._stats.frames == max_frames:
                return

    def _preparer(self) -> Callable[[Frame], Prepared]:
        region, prepare = self._options.region, self._classifier.preparer()
        return prepare if region is None else lambda image: prepare(region.of(image))

    def _answer(self, frame: CapturedFrame, dropped: int) -> Result:
        region, smoothing = self._options.region, self._options.smoothing
        seen = frame.image if region is None else region.of(frame.image)
        prediction = self._classifier.classify(seen, frame.prepared)
        now_s = self._clock()
        guesses = prediction.guesses if smoothing is None else smoothing(prediction.guesses, now_s)
        result = Result(
            frame=frame,
            prediction=prediction,
            guesses=tuple(g for g in guesses if g.probability >= self._options.threshold),
            variant=self._classifier.variant.name,
            backend=self._classifier.backend.name,
            answer_ms=1e3 * (now_s - frame.captured_at_s),
            fps=self._rate.tick(now_s),
            dropped=dropped,
            budget_ms=self._budget_ms(),
            answered_at_s=self._wall_clock(),
            region=region,
        )
        return replace(result, picture=draw(result)) if any(sink.wants_picture for sink in self._sinks) else result
