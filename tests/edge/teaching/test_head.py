"""The head: exact held-out answers, calibration that few pictures do not make too sure, and the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.teaching.head import Lesson, learn, softmax
from edge.teaching.threshold import confidence_of

FEATURES = 40


def blobs(counts: list[int], spread: float = 0.5, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Pictures of classes around a point each."""
    random = np.random.default_rng(seed)
    centres = 3 + random.normal(size=(len(counts), FEATURES))
    classes = np.repeat(np.arange(len(counts)), counts)
    return centres[classes] + spread * random.normal(size=(len(classes), FEATURES)), classes


def lesson_of(counts: list[int], spread: float = 0.5) -> Lesson:
    features, classes = blobs(counts, spread)
    return learn(features, classes, range(len(classes)), len(counts))


def test_new_pictures_of_the_classes_are_told_apart() -> None:
    features, classes = blobs([3, 3, 3, 3])
    lesson = learn(features, classes, range(12), 4)
    others, truth = blobs([20] * 4, seed=0)  # the same centres, other noise
    assert (lesson.head.logits(others).argmax(1) == truth).mean() == 1
    assert (lesson.held_out.argmax(1) == classes).all()


def test_what_was_left_out_is_answered_as_if_it_had_never_been_there() -> None:
    """Against solving the same regression again without each burst."""
    features, classes = blobs([4, 6, 5], spread=1.5)
    bursts = np.arange(15) // 2
    weight = 15 / (3 * np.bincount(classes)[classes])
    centred = features - (weight @ features) / weight.sum()
    scale = (centred**2).sum(1).mean()
    kernel, targets = centred @ centred.T + 1e3 * scale, np.eye(3)[classes]
    expected = np.empty_like(targets)
    for burst in set(bursts):
        rest, out = np.flatnonzero(bursts != burst), np.flatnonzero(bursts == burst)
        left = np.bincount(classes[rest], minlength=3)[classes[rest]]
        noise = 0.3 * scale * 3 * left / 15  # every class counts alike again
        dual = np.linalg.solve(kernel[np.ix_(rest, rest)] + np.diag(noise), targets[rest])
        expected[out] = kernel[np.ix_(out, rest)] @ dual
    lesson = learn(features, classes, bursts.tolist(), 3)
    assert lesson.held_out == pytest.approx(softmax(expected / lesson.head.temperature), abs=1e-9)


def test_a_class_of_many_pictures_does_not_drown_one_of_few() -> None:
    features, classes = blobs([60, 3], spread=2.0)
    lesson = learn(features, classes, range(63), 2)
    right = lesson.held_out.argmax(1) == classes
    assert right[classes == 0].mean() > 0.9 and right[classes == 1].mean() > 0.6


def test_few_pictures_leave_doubt() -> None:
    few, many = lesson_of([2, 2, 2], 0.1), lesson_of([30, 30, 30], 0.1)
    assert few.held_out.max(1).mean() < 0.9 < many.held_out.max(1).mean() < 1


def test_pictures_alike_in_every_feature_are_no_reason_to_fail() -> None:
    features = np.zeros((6, FEATURES))
    lesson = learn(features, np.array([0, 0, 0, 1, 1, 1]), range(6), 2)
    assert np.isfinite(lesson.head.weights).all() and np.isfinite(lesson.held_out).all()
    assert lesson.head.logits_range[0] < lesson.head.logits_range[1]


def test_the_threshold_lies_between_known_and_strange() -> None:
    features, classes = blobs([8] * 6)
    lesson = learn(features, classes, range(48), 6)
    found = confidence_of(lesson, classes)
    assert lesson.strangers.shape == (48,)
    assert found.known == 48 and found.nothing == 48 and found.known_kept >= 0.95
    assert found.false_alarms is not None and found.false_alarms <= 0.1
    random = np.random.default_rng(9)
    strangers = 3 + random.normal(size=(50, FEATURES))
    assert (softmax(lesson.head.logits(strangers)).max(1) < found.unknown_below).mean() > 0.7


def test_of_two_classes_the_threshold_is_below_what_is_known() -> None:
    features, classes = blobs([4, 4])
    lesson = learn(features, classes, range(8), 2)
    found = confidence_of(lesson, classes)
    assert len(lesson.strangers) == 0 and found.false_alarms is None
    assert 0.3 < found.unknown_below < lesson.held_out.max(1).min()
