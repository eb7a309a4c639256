import numpy as np
import pytest
from numpy.typing import NDArray

from convert.verify import Reference, require, verify
from edge.backends.fake import FakeBackend
from edge.errors import AccuracyError
from edge.manifest import Accuracy
from edge.preprocess import Preprocessing

GREYS = (10, 70, 130, 200)
"""Brightness of the pictures; the fake backend of four classes answers 0, 1, 2, 3."""


def reference(best: list[int], truth: list[int]) -> Reference:
    probabilities: NDArray[np.float32] = np.eye(4, dtype=np.float32)[best]
    pixels = np.stack([np.full((32, 32, 3), grey, np.uint8) for grey in GREYS])
    return Reference(pixels=pixels, probabilities=probabilities, truth=np.array(truth), measured_on="four greys")


def measured(best: list[int], truth: list[int]) -> Accuracy:
    return verify(FakeBackend(resolution=32, classes=4), reference(best, truth), Preprocessing())


def test_a_file_that_answers_as_float_agrees_wholly() -> None:
    accuracy = measured([0, 1, 2, 3], [0, 1, 2, 3])
    assert (accuracy.agreement, accuracy.top1, accuracy.float_top1) == (1.0, 1.0, 1.0)


def test_agreement_and_accuracy_are_different_things() -> None:
    accuracy = measured([0, 1, 3, 3], [0, 2, 2, 3])
    assert (accuracy.agreement, accuracy.top1, accuracy.float_top1) == (0.75, 0.75, 0.5)
    assert (accuracy.pictures, accuracy.labelled, accuracy.measured_on) == (4, 4, "four greys")


def test_only_labelled_pictures_count_towards_top1() -> None:
    accuracy = measured([0, 1, 2, 3], [-1, 1, 0, -1])
    assert (accuracy.labelled, accuracy.top1, accuracy.top5) == (2, 0.5, 1.0)


def test_without_labels_there_is_no_top1() -> None:
    accuracy = measured([0, 1, 2, 3], [-1] * 4)
    assert (accuracy.labelled, accuracy.top1, accuracy.top5, accuracy.float_top1) == (0, None, None, None)


def test_the_least_agreement_is_enough_and_less_is_not() -> None:
    accuracy = measured([0, 1, 3, 3], [-1] * 4)
    require(accuracy, 0.75, "m.tflite")
    with pytest.raises(AccuracyError) as error:
        require(accuracy, 0.76, "m.tflite")
    assert str(error.value) == (
        "m.tflite agrees with float on 75.0% of 4 held-out pictures, expected 76.0% or more; nothing was written. "
        "Calibrate on more pictures like those the camera will see, or lower --min-agreement."
    )
