"""The loop: frame, answer, sinks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from camera_demo.frames import CapturedFrame, Shown
from camera_demo.overlay import draw
from camera_demo.sinks.contract import Sink, WatcherLeft
from camera_demo.sources.contract import Source
from camera_demo.stop import Stop
from camera_demo.summary import Tally
from edge.classify import Classifier

__all__ = ["FrameRate", "LiveLoop"]

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


class LiveLoop:
    """Classifies the frames of a source and shows each answer to every sink."""

    def __init__(
        self,
        classifier: Classifier,
        sinks: Sequence[Sink],
        tally: Tally,
        *,
        threshold: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the loop.

        Args:
            classifier: An opened classifier.
            sinks: Opened sinks.
            tally: Counts the answers.
            threshold: Probability, 0 to 1, below which a guess is not shown.
            clock: The clock that stamps the source's frames.
            wall_clock: Seconds since 1970.
        """
        self._classifier, self._sinks, self._tally, self._threshold = classifier, sinks, tally, threshold
        self._clock, self._wall_clock = clock, wall_clock
        self._rate = FrameRate()

    def run(self, source: Source, stop: Stop, *, max_frames: int | None = None) -> None:
        """Run until the source ends, somebody wants the end, nobody watches, or ``max_frames`` answers are given.

        Raises:
            SourceError: The source broke off.
            SinkError: A sink broke.
            OutputError: A file cannot be written.
            BackendError: The runtime failed.
        """
        for frame in source.frames(stop):
            shown = self._answer(frame, source.dropped)
            self._tally.add(shown)
            try:
                for sink in self._sinks:
                    sink.show(shown)
            except WatcherLeft:
                return
            if stop.is_requested or self._tally.frames == max_frames:
                return

    def _answer(self, frame: CapturedFrame, dropped: int) -> Shown:
        prediction = self._classifier.classify(frame.image)
        now_s = self._clock()
        shown = Shown(
            frame=frame,
            prediction=prediction,
            guesses=tuple(g for g in prediction.guesses if g.probability >= self._threshold),
            variant=self._classifier.variant.name,
            backend=self._classifier.backend.name,
            answer_ms=1e3 * (now_s - frame.captured_at_s),
            fps=self._rate.tick(now_s),
            dropped=dropped,
            answered_at_s=self._wall_clock(),
        )
        return replace(shown, picture=draw(shown)) if any(sink.wants_picture for sink in self._sinks) else shown
