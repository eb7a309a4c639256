"""Live answers: an iterator over what a camera, clip or folder shows."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from camera_demo.capture_format import CaptureFormat
from camera_demo.frames import CapturedFrame, Result
from camera_demo.loading import ModelOptions, load
from camera_demo.options import ClassifyOptions, Playback
from camera_demo.smoothing import Smoothing
from camera_demo.source_status import SourceStatus
from camera_demo.sources import LiveSource, open_source
from camera_demo.sources.default import default_source
from camera_demo.stop import Stop
from camera_demo.uri import parse_source
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import open_bundle
from edge.inference.live_classifier import LiveClassifier
from edge.inference.prediction import Prepared
from edge.vision.preprocess import Frame

__all__ = ["USUAL_FPS", "Answers", "FrameRate", "answers"]

USUAL_FPS: Final = 30.0
"""The rate to keep unless another budget is given."""
_WINDOW: Final = 31

_log = logging.getLogger(__name__)


class FrameRate:
    """Answers a second over the last thirty."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=_WINDOW)

    def tick(self, now_s: float) -> float:
        """Count an answer at ``now_s`` and return the rate, 0 before the second."""
        self._times_s.append(now_s)
        span_s = now_s - self._times_s[0]
        return (len(self._times_s) - 1) / span_s if span_s > 0 else 0.0


class Answers(Iterator[Result]):
    """One answer for each frame of a source; also a context manager.

    What it opened is closed when the source ends, by :meth:`close`, at the end of a ``with`` block, or when nothing
    refers to it any more, as after ``break`` in ``for answer in answers(...)``.
    """

    def __init__(
        self,
        source: LiveSource,
        classifier: LiveClassifier,
        *,
        options: ClassifyOptions = ClassifyOptions(),
        stop: Stop | None = None,
        beat: Callable[[], None] = lambda: None,
        opened: ExitStack | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join an opened source with a loaded classifier; :func:`answers` opens both.

        Args:
            source: Gives the frames.
            classifier: Classifies them.
            options: What is classified and which classes an answer has.
            stop: Ends the iteration when requested.
            beat: Called before each frame, and several times a second while none comes.
            opened: Closed with this object.
            clock: The clock that stamps the source's frames.
            wall_clock: Seconds since 1970.
        """
        self._opened = opened or ExitStack()
        self.source, self.classifier = source, classifier
        self._options, self._stop, self._beat = options, stop or Stop(), beat
        self._clock, self._wall_clock = clock, wall_clock
        self._smoothing = Smoothing(options.smoothing, options.top_k) if options.smoothing else None
        self._rate = FrameRate()
        self._frames = source.frames(self._stop, _preparer(classifier, options))

    def __iter__(self) -> Answers:
        return self

    def __next__(self) -> Result:
        """The next answer.

        Raises:
            StopIteration: The source has ended, or the end was requested.
            SourceError: The source broke off.
            BackendError: The runtime failed.
        """
        try:
            for frame in self._frames:
                self._beat()
                if self._stop.is_requested:
                    break
                if frame is not None:
                    return self._answer(frame)
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End the iteration and close what was opened. A second call does nothing."""
        self._stop.request()
        self._frames = iter(())
        self._opened.close()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_frames"):
            self.close()

    def _answer(self, frame: CapturedFrame) -> Result:
        region, classifier = self._options.region, self.classifier
        seen = frame.image if region is None else region.of(frame.image)
        prediction = classifier.classify(seen, frame.prepared)
        now_s = self._clock()
        guesses = prediction.guesses if self._smoothing is None else self._smoothing(prediction.guesses, now_s)
        is_unknown = classifier.is_unknown(guesses[0])
        threshold = math.inf if is_unknown else self._options.threshold
        return Result(
            frame=frame,
            prediction=prediction,
            guesses=tuple(g for g in guesses if g.probability >= threshold),
            is_unknown=is_unknown,
            variant=classifier.variant.name,
            backend=classifier.backend.name,
            answer_ms=1e3 * (now_s - frame.captured_at_s),
            fps=self._rate.tick(now_s),
            dropped=self.source.dropped,
            budget_ms=float("inf") if classifier.budget is None else classifier.budget.latency_ms,
            answered_at_s=self._wall_clock(),
            region=region,
        )


def _preparer(classifier: LiveClassifier, options: ClassifyOptions) -> Callable[[Frame], Prepared]:
    region, prepare = options.region, classifier.preparer()
    return prepare if region is None else lambda image: prepare(region.of(image))


def answers(
    source: str | int | Path | None = None,
    *,
    bundle: str | Path = "demo",
    fps: float | None = None,
    budget: Budget | None = None,
    variant: str | None = None,
    backend: str = "auto",
    threads: int | None = None,
    options: ClassifyOptions = ClassifyOptions(),
    capture_format: CaptureFormat = CaptureFormat(),
    playback: Playback = Playback(),
) -> Answers:
    """Open a source and a model, and iterate over the answers.

    >>> for answer in answers("0", bundle="demo", fps=30):
    ...     print(answer.best, answer.variant)

    Args:
        source: ``0``, ``/dev/video0``, ``csi://0``, ``rtsp://HOST/PATH``, a video file, a folder, ``synthetic:`` or
            ``demo``; None for the first camera, else the demo clip.
        bundle: A bundle's folder, or the name of an installed or shipped bundle.
        fps: The rate to keep, by changing the variant; 30 by default.
        budget: The same as a budget, which may hold more conditions.
        variant: A variant to use whatever its latency; None lets the budget choose.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for the physical cores, at most 4.
        options: Which part of a frame is classified, and which classes an answer has.
        capture_format: What to ask of a camera.
        playback: How the source is played.

    Raises:
        EdgeError: The source, the bundle or the model cannot be opened, or no variant keeps the budget.
    """
    if fps is None and budget is None:
        fps = USUAL_FPS
    budget = Budget.of(budget, fps=fps)
    uri = default_source(_log.info) if source is None else parse_source(str(source))
    model = ModelOptions(bundle=str(bundle), variant=variant, backend=backend, threads=threads)
    opened = ExitStack()
    try:
        frames = open_source(uri, SourceStatus(uri.name), capture_format=capture_format, playback=playback)
        opened.callback(frames.close)
        classifier, _ = load(
            open_bundle(bundle),
            model,
            budget,
            top_k=options.computed,
            unknown=options.unknown,
            thresholds=options.thresholds,
            announce=_log.info,
        )
        opened.callback(classifier.close)
        opened.enter_context(HealthSampler(classifier.on_health))
        return Answers(frames, classifier, options=options, opened=opened)
    except BaseException:
        opened.close()
        raise
