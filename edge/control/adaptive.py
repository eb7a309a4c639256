"""A classifier that changes its variant between two frames, so that its answers stay within a latency budget.

Every candidate is loaded before the first frame, so a change costs nothing but cold caches, and no frame is lost.
Threads wait for each other at every layer, so while other processes take CPUs and make frames late, half as many run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import numpy as np

from edge.board.health import Health
from edge.board.memory import available_mb
from edge.board.sampler import HealthSampler
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.control.controller import Controller
from edge.control.decision import Cause, Change
from edge.control.loading import load_variants
from edge.errors import VariantError
from edge.inference.backends import Backend, Refusal
from edge.inference.classifier import Classifier
from edge.inference.live_classifier import Mode, refuse_copy
from edge.inference.prediction import Guess, Prediction, Prepared
from edge.inference.unknown import Unknown
from edge.operating_points import OperatingPoint, operating_points
from edge.paths import AnyPath
from edge.profiling.profile import LatencyProfile
from edge.profiling.timing import FRAME_SIZE
from edge.vision.picture import Picture
from edge.vision.preprocess import Frame

__all__ = ["AdaptiveClassifier", "Counts"]

_LOG: Final = logging.getLogger(__name__)
_SHARE_OF_MEMORY: Final = 0.5
"""The share of the available memory that loaded variants may take by default."""


@dataclass(slots=True)
class Counts:
    """Figures of the run so far."""

    frames: Counter[Variant] = field(default_factory=Counter)
    """Answers of each variant."""
    late: int = 0
    """Answers that took longer than the budget of the moment."""


class AdaptiveClassifier:
    """Changes variants by itself to keep the budget: a :class:`~edge.inference.live_classifier.LiveClassifier`.

    As a context manager it also samples the machine's health, so that it takes a smaller variant before heat slows the
    board down.

    >>> with AdaptiveClassifier(bundle, profile, fps=30) as classifier:
    ...     prediction = classifier.classify(frame)
    ...     print(classifier.variant, classifier.last_change)
    """

    def __init__(
        self,
        bundle: Bundle | AnyPath,
        profile: LatencyProfile,
        budget: Budget | None = None,
        *,
        fps: float | None = None,
        budget_ms: float | None = None,
        backend: str = "auto",
        threads: int | None = None,
        top_k: int = 5,
        unknown: Unknown = "auto",
        thresholds: Mapping[str, float] | None = None,
        memory_limit_mb: float | None = None,
        sample_health: bool = True,
        make_controller: Callable[[Sequence[OperatingPoint], Budget], Controller] = Controller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load every variant of a bundle that meets the budget's other conditions, as far as memory goes.

        The variant to begin with and the fastest are loaded in any case; then those of the Pareto front, best
        first; then the rest.

        Args:
            bundle: An opened bundle, or what :func:`edge.bundles.bundle.open_bundle` opens.
            profile: What its variants take on this machine.
            budget: The budget to keep; or give ``fps`` or ``budget_ms``.
            fps: Frames a second to keep up with.
            budget_ms: The longest a frame may take.
            backend: A backend's name, or ``auto``.
            threads: Threads for the inference; None for those that each variant has in the profile, or half as many
                while other processes take CPUs.
            top_k: Number of classes in each answer.
            unknown: As for :class:`~edge.inference.classifier.Classifier`; ``auto`` is each variant's own threshold.
            thresholds: Likewise, for single classes.
            memory_limit_mb: What the loaded variants may take together; None for half of what is available.
            sample_health: Whether the ``with`` block samples the machine's health; else call :meth:`on_health`.
            make_controller: Makes the controller for the variants that were loaded.
            clock: Seconds; a monotonic one.

        Raises:
            BudgetError: No budget is given, or two.
            BundleError: The bundle cannot be opened.
            NoVariantFits: No variant meets the other conditions.
            BackendError: No backend runs one of them.
        """
        bundle, budget = open_bundle(bundle), Budget.of(budget, fps=fps, budget_ms=budget_ms)
        points = operating_points(bundle, profile, budget)
        limit_mb = _SHARE_OF_MEMORY * available_mb() if memory_limit_mb is None else memory_limit_mb
        start = make_controller(points, budget).variant

        def open_with(variant: Variant, count: int) -> Classifier:
            return Classifier(
                bundle, variant, backend=backend, threads=count, top_k=top_k, unknown=unknown, thresholds=thresholds
            )

        def threads_of(variant: Variant) -> int:
            row = profile.find(variant)
            return threads if threads is not None else (row and row.num_threads) or 1

        width, height = profile.frame_size or FRAME_SIZE
        blank, may_have_fewer = np.zeros((height, width, 3), np.uint8), threads is None
        self._loaded = load_variants(
            points, start, limit_mb, threads_of, open_with, blank, may_have_fewer=may_have_fewer
        )
        self._controller = make_controller([p for p in points if p.variant in self._loaded.classifiers], budget)
        self._clock, self._lock = clock, threading.Lock()
        self._active = self._current()
        self._sampler = HealthSampler(self.on_health) if sample_health else None
        self.counts: Counts = Counts()

    @property
    def classifiers(self) -> Mapping[Variant, Classifier]:
        """The classifier of each loaded variant."""
        return dict(self._loaded.classifiers)

    @property
    def variant(self) -> Variant:
        """The variant that gave the last answer; a change shows here with the next frame."""
        return self._active.variant

    @property
    def backend(self) -> Backend:
        """The backend that gave the last answer."""
        return self._active.backend

    @property
    def model_sha256(self) -> str:
        """The SHA-256 of the model file that gave the last answer."""
        return self._active.model_sha256

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The backends that were tried before the one in use and could not."""
        return self._active.refusals

    def is_unknown(self, best: Guess) -> bool:
        """Whether an answer with this best class, as averaged over frames, is unknown to the variant of now."""
        return self._active.is_unknown(best)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that are loaded, and so can be pinned."""
        return tuple(self._loaded.classifiers)

    @property
    def left_out(self) -> Mapping[Variant, str]:
        """Variants that were not loaded, and why."""
        return dict(self._loaded.left_out)

    @property
    def mode(self) -> Mode:
        """``pinned`` or ``auto``."""
        return "auto" if self.pinned is None else "pinned"

    @property
    def budget(self) -> Budget:
        """The budget of now."""
        return self._controller.state.budget

    @property
    def pinned(self) -> Variant | None:
        """The variant that you fixed; None while it is chosen automatically."""
        return self._controller.state.pinned

    @property
    def last_change(self) -> Change | None:
        """The latest change with its cause and reason; ``str`` gives one line."""
        return self._controller.last_change

    @property
    def changes(self) -> Mapping[Cause, int]:
        """How often the variant was changed, by cause."""
        return dict(self._controller.changes)

    @property
    def slowdown(self) -> float:
        """Latency of the last second as a multiple of the profile's p95."""
        with self._lock:
            return self._controller.state.slowdown

    @property
    def p95_ms(self) -> float:
        """95th percentile of the running variant: the profile's times the slowdown of the last second."""
        with self._lock:
            return self._controller.state.expected_p95_ms

    @property
    def is_holding(self) -> bool:
        """Whether the budget is expected to be met; False where even the fastest variant is too slow."""
        with self._lock:
            return self._controller.is_holding

    def classify(self, picture: Picture, prepared: Prepared | None = None, *, rgb: bool = False) -> Prediction:
        """Classify one picture with the variant of the moment: see :meth:`Classifier.classify`."""
        self._active = active = self._current()
        prediction = active.classify(picture, prepared, rgb=rgb)
        with self._lock:
            self.counts.frames[active.variant] += 1
            self.counts.late += prediction.total_ms > self._controller.state.budget.latency_ms
            self._note(self._controller.on_frame(active.variant, prediction.total_ms, self._clock()))
        return prediction

    def preparer(self) -> Callable[[Frame], Prepared]:
        """Prepares frames on one other thread, for the variant of the moment: see :meth:`Classifier.preparer`."""
        preparers = {variant: classifier.preparer() for variant, classifier in self._loaded.classifiers.items()}
        return lambda frame: preparers[self._active.variant](frame)

    def on_health(self, health: Health) -> None:
        """Take in a sample of the machine's health, as :class:`edge.board.sampler.HealthSampler` gives it."""
        with self._lock:
            self._note(self._controller.on_health(health, self._clock()))

    def set_budget(self, budget: Budget) -> None:
        """Replace the budget from the next frame on. Only its latency counts; other conditions stay as opened.

        Raises:
            BudgetError: ``budget`` is not a :class:`Budget`.
        """
        budget = Budget.of(budget)
        with self._lock:
            self._note(self._controller.set_budget(budget, self._clock()))

    def pin(self, variant: Variant | str) -> None:
        """Use ``variant`` from the next frame on, whatever its latency.

        Raises:
            VariantError: It is not loaded; the message says why, or what is.
        """
        variant = Variant.parse(variant)
        if reason := self._loaded.left_out.get(variant):
            raise VariantError(f"{variant.name} is not loaded: {reason}. Raise the memory limit.")
        with self._lock:
            self._note(self._controller.pin(variant, self._clock()))

    def release(self) -> None:
        """Choose by the budget again."""
        with self._lock:
            self._note(self._controller.release(self._clock()))

    def close(self) -> None:
        """Free every model, once another thread's picture is classified. A second call does nothing."""
        if self._sampler is not None:
            self._sampler.close()
        self._loaded.close()

    def __repr__(self) -> str:
        return f"<AdaptiveClassifier {self.variant.name} of {len(self.variants)}, {self.mode}>"

    __reduce__ = refuse_copy

    def __enter__(self) -> AdaptiveClassifier:
        if self._sampler is not None:
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _current(self) -> Classifier:
        """The classifier for the next frame."""
        state = self._controller.state
        return self._loaded.classifier(state.running.variant, has_fewer_threads=state.has_fewer_threads)

    def _note(self, change: Change | None) -> None:
        if change is not None:
            _LOG.info("%s", change)
