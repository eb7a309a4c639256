from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.errors import AccuracyError
from convert.pipeline.verification import Reference, require, verify
from edge.bundles.manifest import Accuracy
from edge.inference.backends.fake import FakeBackend
from edge.vision.preprocess import Preprocessing

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
        "m.tflite agrees with float on 75.0% of 4 held-out pictures, expected 76.0% or more. "
        "Calibrate on more pictures like those the camera will see, or accept less."
    )


def test_a_file_that_is_good_enough_carries_what_was_asked_of_it() -> None:
    assert require(measured([0, 1, 2, 3], [-1] * 4), 0.9, "m.tflite").min_agreement == 0.9


def test_agreement_is_told_apart_where_float_is_sure() -> None:
    unsure = reference([0, 1, 2, 2], [-1] * 4)
    unsure.probabilities[3] = [0.2, 0.2, 0.4, 0.2]
    accuracy = verify(FakeBackend(resolution=32, classes=4), unsure, Preprocessing())
    assert (accuracy.agreement, accuracy.confident_agreement, accuracy.confident) == (0.75, 1.0, 3)


def test_where_float_is_never_sure_there_is_no_such_agreement() -> None:
    unsure = reference([0, 1, 2, 3], [-1] * 4)
    unsure.probabilities[:] = 0.25
    accuracy = verify(FakeBackend(resolution=32, classes=4), unsure, Preprocessing())
    assert (accuracy.confident_agreement, accuracy.confident) == (None, 0)


def test_ties_count_where_float_is_sure_and_too_many_are_refused() -> None:
    saturated = FakeBackend(resolution=32, classes=4)
    output = saturated.infer()
    saturated.infer = lambda: np.full_like(output, output.dtype.type(1))  # type: ignore[method-assign]
    accuracy = verify(saturated, reference([0, 1, 2, 3], [-1] * 4), Preprocessing())
    assert accuracy.tied == 1.0 and measured([0, 1, 2, 3], [-1] * 4).tied == 0.0
    with pytest.raises(AccuracyError, match=r"In m\.tflite two or more classes tie for the best on 100\.0% of the 4 "):
        require(accuracy, 0.2, "m.tflite")
    assert require(accuracy, 0.0, "m.tflite").tied == 1.0
    require(replace(accuracy, tied=0.25), 0.2, "m.tflite")  # one picture of four


def test_a_tie_of_classes_that_float_hardly_tells_apart_is_rounding() -> None:
    saturated = FakeBackend(resolution=32, classes=4)
    output = saturated.infer()
    saturated.infer = lambda: np.full_like(output, output.dtype.type(1))  # type: ignore[method-assign]
    near = reference([0, 1, 2, 3], [-1] * 4)
    near.probabilities[:2] = [[0.52, 0.44, 0.02, 0.02], [0.01, 0.51, 0.47, 0.01]]
    assert verify(saturated, near, Preprocessing()).tied == 0.5


def test_drawn_pictures_claim_nothing_about_what_float_is_sure_of() -> None:
    drawn = replace(reference([0, 1, 2, 3], [-1] * 4), are_synthetic=True)
    accuracy = verify(FakeBackend(resolution=32, classes=4), drawn, Preprocessing())
    assert (accuracy.agreement, accuracy.confident_agreement, accuracy.confident, accuracy.tied) == (1.0, None, 0, None)


def test_the_interval_holds_the_share_that_was_measured() -> None:
    accuracy = measured([0, 1, 3, 3], [0, 2, 2, 3])
    assert accuracy.agreement is not None and accuracy.agreement_range is not None and accuracy.top1_range is not None
    assert accuracy.agreement_range[0] < accuracy.agreement < accuracy.agreement_range[1]
    assert accuracy.top1 is not None and accuracy.top1_range[0] < accuracy.top1 < accuracy.top1_range[1]
