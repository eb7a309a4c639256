"""One call from a camera frame to the best classes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.board.affinity import default_threads
from edge.bundles.bundle import Bundle, label_mismatch, open_bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.inference.backends import Backend, Refusal, open_backend
from edge.inference.fixed_variant import FixedVariant
from edge.inference.live_classifier import refuse_copy
from edge.inference.prediction import Guess, Prediction, Prepared, top_k
from edge.inference.recent_times import RecentTimes
from edge.inference.unknown import Unknown, class_thresholds, parse_unknown, unknown_below
from edge.paths import AnyPath
from edge.vision.picture import Picture, as_frame
from edge.vision.preprocess import Frame, Preprocessing, Preprocessor

if TYPE_CHECKING:
    from edge.budget import Budget

__all__ = ["Classifier"]


class Classifier(FixedVariant):
    """One variant of a bundle, loaded and ready: a :class:`~edge.inference.live_classifier.LiveClassifier`.

    Buffers are made once; a call with an array allocates next to nothing. Threads may share one: while a picture is
    classified, the others wait. To classify several at once, open several.

    >>> with Classifier("demo", "0.25_128") as classifier:
    ...     classifier.classify("photo.jpg").best.label
    """

    backend: Backend
    model_sha256: str
    refusals: tuple[Refusal, ...]
    unknown_below: float
    """The best class's probability below which an answer is unknown; 0 for never."""
    class_thresholds: Mapping[int, float]
    """The same for the classes that have a threshold of their own, by number."""

    def __init__(
        self,
        bundle: Bundle | AnyPath,
        variant: Variant | str | None = None,
        *,
        backend: str = "auto",
        threads: int | None = None,
        top_k: int = 5,
        budget: Budget | None = None,
        unknown: Unknown = "auto",
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        """Load a variant of a bundle with the first backend that takes it, or with the one named.

        Args:
            bundle: An opened bundle, or what :func:`edge.bundles.bundle.open_bundle` opens.
            variant: The variant or its name; None for the most accurate one.
            backend: ``auto``, or a backend's name; a precision may follow: ``tensorrt:fp16``.
            threads: Threads for the inference; None for :func:`edge.board.affinity.default_threads`.
            top_k: Number of classes in each answer.
            budget: What an answer may cost. Nothing depends on it here; it is kept for whoever asks.
            unknown: ``auto`` for the bundle's threshold, ``off`` to always trust the best class, or a probability of it
                below which an answer is unknown.
            thresholds: The same for single classes, by label: a probability below which that class is not named.

        Raises:
            BundleError: The bundle cannot be opened, or does not have the variant.
            VariantError: The variant's name is invalid.
            BackendError: No backend works; the message has every reason.
            ConfidenceError: ``unknown`` or a threshold is invalid, or one is for a class that the bundle does not have.
        """
        parse_unknown(unknown)  # before a model is loaded
        bundle = open_bundle(bundle)
        class_thresholds("off", None, thresholds or {}, bundle.labels)
        chosen = bundle.most_accurate if variant is None else Variant.parse(variant)
        opened = open_backend(bundle, chosen, name=backend, threads=default_threads() if threads is None else threads)
        try:
            self._join(opened.backend, bundle.labels, bundle.manifest.preprocessing, chosen, top_k)
        except BackendError:
            opened.backend.close()
            raise
        self.model_sha256, self.refusals, self.budget = opened.artifact.sha256, opened.refusals, budget
        self.unknown_below = unknown_below(unknown, opened.artifact)
        self.class_thresholds = class_thresholds(unknown, opened.artifact, thresholds or {}, bundle.labels)

    @classmethod
    def of_backend(
        cls,
        backend: Backend,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        *,
        variant: Variant,
        top_k: int = 5,
        unknown_below: float = 0.0,
    ) -> Classifier:
        """Join a backend that is already loaded with its labels and preprocessing.

        Raises:
            BackendError: The model's output does not have one value for each label.
        """
        classifier = cls.__new__(cls)
        classifier._join(backend, labels, preprocessing, variant, top_k)
        classifier.model_sha256, classifier.refusals, classifier.budget = "", (), None
        classifier.unknown_below, classifier.class_thresholds = unknown_below, {}
        return classifier

    def _join(
        self, backend: Backend, labels: Sequence[str], preprocessing: Preprocessing, variant: Variant, top_k: int
    ) -> None:
        classes = backend.output_spec.shape[-1]
        if top_k < 1:
            raise BackendError(f"top_k must be at least 1, got {top_k}.")
        if len(labels) != classes:
            cause = label_mismatch(len(labels), classes)
            raise BackendError(f"The model has {classes} outputs for {len(labels)} labels: {cause}")
        self.backend, self.variant = backend, variant
        self._lock = threading.RLock()  # a signal's handler may close what its thread is using
        self._labels, self._top_k, self._times = tuple(labels), min(top_k, classes), RecentTimes()
        self._preprocessing, self._preprocessor = preprocessing, Preprocessor(preprocessing, backend.input_spec)

    def classify(self, picture: Picture, prepared: Prepared | None = None, *, rgb: bool = False) -> Prediction:
        """Classify one picture.

        Args:
            picture: uint8 (height, width, 3) BGR of any size, the path of a picture file or its bytes, or a PIL image.
                Reading or converting it is not part of the times in the answer, nor is waiting for other threads.
            prepared: What a :meth:`preparer` made of it. One for another resolution or preprocessing is ignored.
            rgb: Whether the array's channels are in the order RGB.

        Raises:
            ImageError: The picture cannot be read, or is of another type or shape.
            BackendError: The runtime failed.
        """
        frame = picture if isinstance(picture, np.ndarray) and not rgb else as_frame(picture, rgb=rgb)
        with self._lock:
            start = time.perf_counter()
            if (
                prepared is not None
                and len(prepared.pixels) == self._preprocessor.side
                and prepared.preprocessing in (None, self._preprocessing)
            ):
                self._preprocessor.normalize(prepared.pixels, self.backend.input())
                start -= prepared.preprocess_ms / 1e3
            else:
                self._preprocessor(frame, self.backend.input())
            ready = time.perf_counter()
            output = self.backend.infer()
            inferred = time.perf_counter()
            labels = self._labels
            best = top_k(output[0], self.backend.output_spec, self._top_k)
            guesses = tuple([Guess(class_id, labels[class_id], probability) for class_id, probability in best])
            is_unknown = self.is_unknown(guesses[0])
            done = time.perf_counter()
            self._times.add(1e3 * (done - start))
        return Prediction(guesses, 1e3 * (ready - start), 1e3 * (inferred - ready), 1e3 * (done - inferred), is_unknown)

    def is_unknown(self, best: Guess) -> bool:
        """Whether an answer with this best class, as averaged over frames, is unknown."""
        return best.probability < self.class_thresholds.get(best.class_id, self.unknown_below)

    def preparer(self) -> Callable[[Frame], Prepared]:
        """A function that does the preprocessing ahead, on one other thread: see :meth:`classify`.

        It raises :class:`edge.errors.ImageError` for frames of another type or shape.
        """
        preprocessor = Preprocessor(self._preprocessing, self.backend.input_spec)

        def prepare(frame: Frame) -> Prepared:
            start = time.perf_counter()
            pixels = preprocessor.pixels(frame)
            return Prepared(pixels, 1e3 * (time.perf_counter() - start), self._preprocessing)

        return prepare

    def network_input(self, frame: Frame) -> NDArray[np.float32]:
        """The network's input for ``frame`` as real numbers, float32 (ρ, ρ, 3) in its colour order.

        Raises:
            ImageError: The frame is of another type or shape.
        """
        spec = self.backend.input_spec
        with self._lock:
            tensor = self.backend.input()
            self._preprocessor(frame, tensor)
            real = spec.real(tensor[0])
        return real.transpose(1, 2, 0) if spec.is_channels_first else real

    def probabilities(self, picture: Picture, *, rgb: bool = False) -> NDArray[np.float32]:
        """The probability of every class, float32 (classes,): slower than :meth:`classify`, and the whole answer.

        Raises:
            ImageError: The picture cannot be read, or is of another type or shape.
            BackendError: The runtime failed.
        """
        frame = as_frame(picture, rgb=rgb)
        with self._lock:
            self._preprocessor(frame, self.backend.input())
            return self.backend.output_spec.real(self.backend.infer()[0])

    @property
    def classifiers(self) -> Mapping[Variant, Classifier]:
        """This one by its variant."""
        return {self.variant: self}

    @property
    def p95_ms(self) -> float | None:
        """That of its last hundred frames; None before the twentieth."""
        return self._times.p95_ms

    @property
    def is_holding(self) -> bool | None:
        """Whether :attr:`p95_ms` is within the budget; None before it is known, or without a budget."""
        p95_ms = self.p95_ms
        return None if p95_ms is None or self.budget is None else p95_ms <= self.budget.latency_ms

    def close(self) -> None:
        """Free the model, once another thread's picture is classified. A second call does nothing."""
        with self._lock:
            self.backend.close()

    def __repr__(self) -> str:
        return f"<Classifier {self.variant.name} on {self.backend.version}>"

    __reduce__ = refuse_copy

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
