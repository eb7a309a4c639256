"""One call from a camera frame to the best classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.inference.backends import Backend, Refusal, open_backend
from edge.vision.preprocess import Frame, Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = ["Classifier", "Guess", "Prediction", "Prepared", "label_mismatch", "top_k"]


class Guess(NamedTuple):
    """One class and how sure the network is of it."""

    class_id: int
    label: str
    probability: float
    """From 0 to 1."""


class Prediction(NamedTuple):
    """What the network sees in one frame, best class first, and what the answer took."""

    guesses: tuple[Guess, ...]
    preprocess_ms: float
    infer_ms: float
    top_k_ms: float

    @property
    def best(self) -> Guess:
        """The most probable class."""
        return self.guesses[0]

    @property
    def total_ms(self) -> float:
        """From frame to answer."""
        return self.preprocess_ms + self.infer_ms + self.top_k_ms


class Prepared(NamedTuple):
    """A frame cropped and shrunk ahead of its turn, by another thread than the one that classifies."""

    pixels: Frame
    """uint8 (ρ, ρ, 3) in the network's colour order."""
    preprocess_ms: float
    """What that took."""


class Classifier:
    """A variant, loaded and ready. Buffers are made once; a call allocates next to nothing.

    >>> with Classifier.open(open_bundle("demo"), Variant(0.25, 128)) as classifier:
    ...     classifier.classify(frame).best.label
    """

    def __init__(
        self,
        backend: Backend,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        *,
        variant: Variant,
        top_k: int = 5,
        model_sha256: str = "",
        refusals: tuple[Refusal, ...] = (),
    ) -> None:
        """Join a loaded model with its labels and preprocessing.

        Raises:
            BackendError: The model's output does not have one value for each label.
        """
        classes = backend.output_spec.shape[-1]
        if top_k < 1:
            raise BackendError(f"An answer cannot have {top_k} classes: expected at least 1.")
        if len(labels) != classes:
            cause = label_mismatch(len(labels), classes)
            raise BackendError(f"The model has {classes} outputs for {len(labels)} labels: {cause}")
        self.backend, self.variant, self.model_sha256, self.refusals = backend, variant, model_sha256, refusals
        self._labels, self._top_k = tuple(labels), min(top_k, classes)
        self._preprocessing, self._preprocessor = preprocessing, Preprocessor(preprocessing, backend.input_spec)

    @classmethod
    def open(
        cls, bundle: Bundle, variant: Variant, *, backend: str = "auto", threads: int = 1, top_k: int = 5
    ) -> Classifier:
        """Load a variant of a bundle with the first backend that takes it, or with the one named.

        Raises:
            BundleError: The bundle does not have the variant.
            BackendError: No backend works; the message has every reason.
        """
        opened = open_backend(bundle, variant, name=backend, threads=threads)
        try:
            return cls(
                opened.backend,
                bundle.labels,
                bundle.manifest.preprocessing,
                variant=variant,
                top_k=top_k,
                model_sha256=opened.artifact.sha256,
                refusals=opened.refusals,
            )
        except BackendError:
            opened.backend.close()
            raise

    def classify(self, frame: Frame, prepared: Prepared | None = None) -> Prediction:
        """Classify one frame, uint8 (height, width, 3) BGR of any size.

        Args:
            frame: The frame.
            prepared: What a :meth:`preparer` made of it. One for another resolution is left aside.

        Raises:
            ImageError: The frame has another form.
            BackendError: The runtime failed.
        """
        start = time.perf_counter()
        if prepared is not None and len(prepared.pixels) == self._preprocessor.side:
            self._preprocessor.normalize(prepared.pixels, self.backend.input())
            start_of_work = start - prepared.preprocess_ms / 1e3
        else:
            self._preprocessor(frame, self.backend.input())
            start_of_work = start
        ready = time.perf_counter()
        output = self.backend.infer()
        inferred = time.perf_counter()
        labels = self._labels
        best = top_k(output[0], self.backend.output_spec, self._top_k)
        guesses = tuple([Guess(class_id, labels[class_id], probability) for class_id, probability in best])
        done = time.perf_counter()
        return Prediction(guesses, 1e3 * (ready - start_of_work), 1e3 * (inferred - ready), 1e3 * (done - inferred))

    def preparer(self) -> Callable[[Frame], Prepared]:
        """Does the preprocessing that needs no tensor, for one other thread: see :meth:`classify`.

        The function raises :class:`edge.errors.ImageError` for frames of another form.
        """
        preprocessor = Preprocessor(self._preprocessing, self.backend.input_spec)

        def prepare(frame: Frame) -> Prepared:
            start = time.perf_counter()
            pixels = preprocessor.pixels(frame)
            return Prepared(pixels, 1e3 * (time.perf_counter() - start))

        return prepare

    def network_input(self, frame: Frame) -> NDArray[np.float32]:
        """The real numbers that the network is given for ``frame``, float32 (ρ, ρ, 3) in its colour order.

        Raises:
            ImageError: The frame has another form.
        """
        spec, tensor = self.backend.input_spec, self.backend.input()
        self._preprocessor(frame, tensor)
        real = spec.real(tensor[0])
        return real.transpose(1, 2, 0) if spec.is_channels_first else real

    def probabilities(self, frame: Frame) -> NDArray[np.float32]:
        """The probability of every class, float32 (classes,): slower than :meth:`classify`, and the whole answer.

        Raises:
            ImageError: The frame has another form.
            BackendError: The runtime failed.
        """
        self._preprocessor(frame, self.backend.input())
        return self.backend.output_spec.real(self.backend.infer()[0])

    def close(self) -> None:
        """Free the model. A second call does nothing."""
        self.backend.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def top_k(output: NDArray[Any], spec: TensorSpec, count: int) -> list[tuple[int, float]]:
    """The ``count`` greatest of ``output`` (classes,) as (class, probability), greatest first, ties by class.

    Only those few leave the integers.
    """
    # A stable sort of the mirrored values, read from its end, has the greatest first and equals by class.
    ranked: list[int] = output[::-1].argsort(kind="stable")[: -count - 1 : -1].tolist()
    last, scale, zero_point = len(output) - 1, spec.scale, spec.zero_point
    return [(last - mirrored, scale * (output.item(last - mirrored) - zero_point)) for mirrored in ranked]


def label_mismatch(labels: int, classes: int) -> str:
    """What a wrong number of labels most likely means, as an end of a sentence."""
    if abs(labels - classes) == 1:
        return "off by one: background class? TF-slim's lists begin with 'background', Keras' do not."
    return "they belong to another model."
