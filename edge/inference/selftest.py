"""Self-test of a loaded model: wrong answers are worse than none.

The bundle's golden pictures are classified and checked twice: at the network's input (swapped colours, another range or
crop), and at its output (a broken runtime, a kernel that miscalculates, a wrong file).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.bundles.bundle import Bundle
from edge.bundles.manifest import GoldenAnswer
from edge.errors import SelfTestError
from edge.inference.classifier import Classifier
from edge.inference.trial import check_bundle
from edge.vision.images import read_image
from edge.vision.preprocess import Frame

__all__ = ["ANSWER_TOLERANCE", "INPUT_TOLERANCE", "input_means", "self_test", "verify_answers"]

ANSWER_TOLERANCE: Final = 0.15
"""The most that a probability may differ: kernels round differently, which moves it by hundredths."""
_LEAST_SPREAD: Final = 0.25
"""Of the quarters' means, where a picture of one channel is much the same all over: int8's rounding is 1/64 of it."""
INPUT_TOLERANCE: Final = 0.03
"""The most that an input's mean may differ, as a share of the picture's range."""
_GREY: Final = np.full((64, 64, 3), 128, np.uint8)
"""What a model without golden answers is run on."""


def self_test(bundle: Bundle, classifier: Classifier) -> bool:
    """Classify the bundle's golden pictures and compare.

    Args:
        bundle: The classifier's bundle.
        classifier: Any of its variants, with any backend.

    Returns:
        Whether the bundle has golden pictures for this model file, so that something was tested.

    Raises:
        SelfTestError: An input or an answer is wrong.
    """
    golden = bundle.manifest.golden
    artifact = bundle.find(classifier.variant).artifact_of(classifier.model_sha256)
    answers = None if golden is None or artifact is None else golden.answers.get(artifact.file)
    inputs = None if golden is None else golden.inputs.get(classifier.variant.resolution)
    if golden is None or answers is None or inputs is None:
        return False
    for entry, means, answer in zip(golden.pictures, inputs, answers, strict=True):
        frame = read_image(bundle.path(entry.file))
        _check_input(classifier, frame, means, f"{entry.file} of bundle {bundle.name}")
        _check_answer(classifier, frame, answer, f"{entry.file} of bundle {bundle.name}")
    return True


def verify_answers(bundle: Bundle, *, backend: str = "auto") -> int:
    """Load and run every variant of a bundle, first in a child process, and self-test it.

    Args:
        bundle: An opened bundle.
        backend: ``auto``, or a backend's name.

    Returns:
        How many variants gave golden answers: none of a bundle without golden pictures, which is only run.

    Raises:
        SelfTestError: An input or an answer is wrong.
        BackendError: No backend loads a variant.
    """
    check_bundle(bundle, backend=backend)
    tested = 0
    for entry in bundle.variants:
        with Classifier(bundle, entry.variant, backend=backend) as classifier:
            if self_test(bundle, classifier):
                tested += 1
            else:
                classifier.probabilities(_GREY)
    return tested


def input_means(classifier: Classifier, frame: Frame) -> tuple[float, ...]:
    """The means of the network's input over each quarter of the picture, row by row, for each channel: 12 or 4."""
    real = classifier.network_input(frame)
    half = real.shape[0] // 2
    quarters = real[: 2 * half, : 2 * half].reshape(2, half, 2, half, real.shape[2])
    return tuple(quarters.mean(axis=(1, 3)).ravel().tolist())


def _check_input(classifier: Classifier, frame: Frame, expected: tuple[float, ...], name: str) -> None:
    seen = input_means(classifier, frame)
    spread = max(max(expected) - min(expected), _LEAST_SPREAD)
    off = max(abs(a - b) for a, b in zip(seen, expected, strict=False)) / spread
    if len(seen) != len(expected) or not off <= INPUT_TOLERANCE:
        raise SelfTestError(
            f"The preprocessing gives {classifier.variant.name} a wrong input: for {name} the input is "
            f"off by {off:.0%} of its range. Colours, range or crop are wrong: write the bundle again, or reinstall "
            "this version."
        )


def _check_answer(classifier: Classifier, frame: Frame, expected: GoldenAnswer, name: str) -> None:
    seen = classifier.probabilities(frame)
    off = max(abs(float(seen[class_id]) - probability) for class_id, probability in expected)
    if not np.isfinite(seen).all() or off > ANSWER_TOLERANCE:
        backend = classifier.backend
        raise SelfTestError(
            f"{classifier.variant.name} on {backend.name} ({backend.version}) gives a wrong answer: for "
            f"{name} a probability is off by {off:.2f}, more than {ANSWER_TOLERANCE:g}. Its answers cannot be trusted: "
            "try another backend, or reinstall this one."
        )
