"""Live answers: an iterator over what a camera, clip or folder shows."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Final

from camera_demo.announcing import Announcer
from camera_demo.capture_format import CaptureFormat
from camera_demo.events import LAPSE_S, Event, Moment
from camera_demo.frames import CapturedFrame, Result
from camera_demo.loading import ModelOptions, load
from camera_demo.options import ClassifyOptions, Playback
from camera_demo.smoothing import Smoothing
from camera_demo.source_status import SourceStatus
from camera_demo.sources import LiveSource, open_source
from camera_demo.sources.default import default_source
from camera_demo.stop import Stop
from camera_demo.summary import FrameRate
from camera_demo.turns import Turns, part_of
from camera_demo.uri import parse_source
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.inference.live_classifier import LiveClassifier
from edge.inference.prediction import Guess, Prediction
from edge.inference.unknown import class_number
from edge.paths import AnyPath

__all__ = ["USUAL_FPS", "Answers", "answers"]

USUAL_FPS: Final = 30.0
"""The rate to keep unless another budget is given."""

_log = logging.getLogger(__name__)


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
        on_event: Callable[[Event], None] = lambda event: None,
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
            on_event: Called with each event when it begins and when it is over, before the answer that made it so.
            opened: Closed with this object.
            clock: The clock that stamps the source's frames.
            wall_clock: Seconds since 1970.
        """
        self._opened = opened or ExitStack()
        self.source: LiveSource = source
        self.classifier: LiveClassifier = classifier
        self._options, self._stop, self._beat = options, stop or Stop(), beat
        self._clock, self._wall_clock = clock, wall_clock
        self._announcer = Announcer(options, on_event)
        self._turns = Turns(classifier, options.regions, is_live=source.is_live, is_idle=options.idle)
        self._smoothings: dict[str, Smoothing] = {}
        self._newest: dict[str, Result] = {}
        self._answered_s = clock()
        self._rate = FrameRate()
        self._frames = source.frames(self._stop, self._turns.prepare)
        self._guard = threading.Lock()
        self._waiting: tuple[LiveClassifier, Callable[[], None]] | None = None

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
                if self._waiting is not None:
                    self._change(*self._waiting)
                if frame is not None:
                    return self._answer(frame)
                if self._clock() - self._answered_s > LAPSE_S:
                    self._announcer.lapse()
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def use(self, classifier: LiveClassifier, on_used: Callable[[], None] = lambda: None) -> None:
        """Go on with another classifier from the next frame on. For any thread; neither is closed.

        Args:
            classifier: Takes over; if another one still waits to, it does not any more.
            on_used: Called in the loop's thread between the last answer of the one and the first of the other.
        """
        with self._guard:
            self._waiting = classifier, on_used

    def is_waiting(self, classifier: LiveClassifier) -> bool:
        """Whether a classifier has yet to take over. For any thread."""
        waiting = self._waiting
        return waiting is not None and waiting[0] is classifier

    def close(self) -> None:
        """End the iteration and close what was opened. A second call does nothing."""
        self._stop.request()
        self._frames = iter(())
        try:
            self._announcer.lapse()
        finally:
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
        classifier, name = self.classifier, ""
        frame, is_kept = self._turns.choose(frame, frame.captured_at_s)
        if frame.region is not None:
            name = frame.region.name
        before = self._newest.get(name)
        if is_kept and before is not None:
            prediction = before.prediction._replace(preprocess_ms=0.0, infer_ms=0.0, top_k_ms=0.0)
        else:
            before, is_kept = None, False
            prediction = classifier.classify(part_of(frame.image, frame.region), frame.prepared)
        now_s = self._answered_s = self._clock()
        guesses, is_unknown = self._judged(prediction, name, now_s)
        moment = Moment(frame.index, frame.position_s, self._wall_clock())
        result = Result(
            frame=frame,
            prediction=prediction,
            guesses=guesses,
            is_unknown=is_unknown,
            variant=classifier.variant.name if before is None else before.variant,
            backend=classifier.backend.name if before is None else before.backend,
            answer_ms=1e3 * (now_s - frame.captured_at_s),
            fps=self._rate.tick(now_s),
            dropped=self.source.dropped,
            budget_ms=float("inf") if classifier.budget is None else classifier.budget.latency_ms,
            answered_at_s=moment.time_s,
            region=frame.region,
            is_kept=is_kept,
            is_steady=self._options.steady is not None,
            steady=self._announcer.observe(name, guesses[0] if guesses else None, moment, frame.image),
            elsewhere=tuple([result for other, result in self._newest.items() if other != name]),
        )
        self._newest[name] = replace(result, elsewhere=()) if result.elsewhere else result
        return result

    def _change(self, classifier: LiveClassifier, on_used: Callable[[], None]) -> None:
        """Take another classifier; what the one before said holds no more."""
        self._announcer.lapse()
        self.classifier = classifier
        self._turns.use(classifier)
        self._newest.clear()
        self._smoothings.clear()  # of events, the lapse left the numbers alone, which run on
        on_used()
        with self._guard:
            if self.is_waiting(classifier):  # else another one came meanwhile
                self._waiting = None

    def _judged(self, prediction: Prediction, name: str, now_s: float) -> tuple[tuple[Guess, ...], bool]:
        """The guesses that are shown, and whether the answer is unknown."""
        guesses, options = prediction.guesses, self._options
        if options.smoothing:
            smoothing = self._smoothings.setdefault(name, Smoothing(options.smoothing, options.top_k))
            guesses = smoothing(guesses, now_s)
        is_unknown = self.classifier.is_unknown(guesses[0])
        threshold = math.inf if is_unknown else options.threshold
        return tuple(g for g in guesses if g.probability >= threshold), is_unknown


def answers(
    source: AnyPath | int | None = None,
    *,
    bundle: Bundle | AnyPath = "demo",
    fps: float | None = None,
    budget_ms: float | None = None,
    budget: Budget | None = None,
    variant: Variant | str | None = None,
    backend: str = "auto",
    threads: int | None = None,
    options: ClassifyOptions = ClassifyOptions(),
    capture_format: CaptureFormat = CaptureFormat(),
    playback: Playback = Playback(),
    on_event: Callable[[Event], None] = lambda event: None,
) -> Answers:
    """Open a source and a model, and iterate over the answers.

    >>> for answer in answers("0", bundle="demo", fps=30):
    ...     print(answer.best, answer.variant)

    Args:
        source: ``0``, ``/dev/video0``, ``csi://0``, ``rtsp://HOST/PATH``, ``http://HOST:81/stream``, a video file, a
            folder, ``synthetic:`` or ``demo``; None for the first camera, else the demo clip.
        bundle: An opened bundle, a bundle's folder, or the name of an installed or shipped bundle.
        fps: The rate to keep, by changing the variant; 30 by default.
        budget_ms: The same as the longest a frame may take.
        budget: The same as a budget, which may hold more conditions.
        variant: A variant to use whatever its latency; None lets the budget choose.
        backend: A backend's name, or ``auto``.
        threads: Threads for the inference; None for the physical cores, at most 4.
        options: Which part of a frame is classified, and which classes an answer has.
        capture_format: What to ask of a camera.
        playback: How the source is played.
        on_event: Called with each event when it begins and when it is over, if ``options.steady`` is set.

    Raises:
        EdgeError: The source, the bundle or the model cannot be opened, no variant keeps the budget, or the bundle has
            no class that the options name.
    """
    if fps is None and budget_ms is None and budget is None:
        fps = USUAL_FPS
    budget = Budget.of(budget, fps=fps, budget_ms=budget_ms)
    uri = default_source(_log.info) if source is None else parse_source(str(source))
    name = None if variant is None else Variant.parse(variant).name
    model = ModelOptions(variant=name, backend=backend, threads=threads)
    opened = ExitStack()
    try:
        frames = open_source(uri, SourceStatus(uri.name), capture_format=capture_format, playback=playback)
        opened.callback(frames.close)
        opened_bundle = open_bundle(bundle)
        for label in options.watched:
            class_number(label, opened_bundle.labels)
        classifier, _ = load(
            opened_bundle,
            model,
            budget,
            top_k=options.computed,
            unknown=options.unknown,
            thresholds=options.thresholds,
            announce=_log.info,
        )
        opened.callback(classifier.close)
        opened.enter_context(HealthSampler(classifier.on_health))
        return Answers(frames, classifier, options=options, on_event=on_event, opened=opened)
    except BaseException:
        opened.close()
        raise
