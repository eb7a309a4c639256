from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edge.bundles.confidence import Confidence
from edge.errors import ConfidenceError
from edge.evaluation.confidence import Answers, measure_confidence
from edge.evaluation.options import ThresholdOptions

Row = tuple[int, float, int]
"""The best class, its probability, and the true class."""
LABELS = ("cup", "mug", "plate", "nothing")


def answers(*rows: Row) -> Answers:
    """From (best class, its probability, true class)."""
    best, probabilities, truth = zip(*rows, strict=True)
    return Answers(np.array(best), np.array(probabilities, float), np.array(truth))


def spread(class_id: int = 0, count: int = 100, truth: int | None = None) -> list[Row]:
    """As many answers at 0.005, 0.015 ... 0.995."""
    return [(class_id, (n + 0.5) / count, class_id if truth is None else truth) for n in range(count)]


def measured(known: Sequence[Row], nothing: Sequence[Row] = (), **wanted: Any) -> Confidence:
    options = ThresholdOptions(**wanted)
    found = measure_confidence(answers(*known), answers(*nothing) if nothing else None, labels=LABELS, options=options)
    assert found is not None
    return found


def test_the_threshold_keeps_the_wanted_share_of_the_right_answers() -> None:
    wrong = [(1, 0.9, 0)] * 50
    found = measured(spread() + wrong)
    assert (found.unknown_below, found.known_kept, found.known, found.labelled) == (0.055, 0.95, 100, 150)
    assert measured(spread() + wrong, keep=1.0).unknown_below == 0.005
    assert (found.false_alarms, found.nothing) == (None, 0)


def test_pictures_of_nothing_raise_it_until_few_enough_pass() -> None:
    found = measured(spread(), spread(count=20, truth=-1))
    # of 20 at 0.025, 0.075 ... 0.975 one may pass
    assert (found.unknown_below, found.false_alarms, found.nothing) == (0.95, 0.05, 20)
    assert found.known_kept == 0.05
    strict = measured(spread(), spread(count=20, truth=-1), false_alarms=0.0)
    assert (strict.unknown_below, strict.false_alarms) == (0.976, 0.0)
    assert measured(spread(), spread(count=20, truth=-1), false_alarms=1.0).unknown_below == 0.055


def test_the_class_that_stands_for_nothing_is_no_false_alarm() -> None:
    found = measured(spread(), [(3, 0.99, 3)] * 30 + [(0, 0.5, 3)])
    assert (found.unknown_below, found.false_alarms, found.nothing) == (0.055, 0.0323, 31)


def test_too_few_right_answers_set_no_threshold() -> None:
    assert measure_confidence(answers(*spread(count=19), *[(1, 0.9, 0)] * 50), labels=LABELS) is None
    with pytest.raises(ConfidenceError, match="19 right answers to labelled pictures are too few for a precision"):
        measure_confidence(answers(*spread(count=19)), labels=LABELS, options=ThresholdOptions(precision=0.9))


def test_a_class_gets_the_lowest_threshold_of_the_wanted_precision() -> None:
    cups = [(0, p, 0) for p in (0.6, 0.7, 0.8, 0.9)] + [(0, 0.65, 1)]
    mugs = [(1, 0.9, 1)] * 20
    found = measured(cups + mugs, precision=0.75, keep=1.0)
    assert found.class_below == {} and found.precision == 0.75, "four of five are right anyway"
    assert measured(cups + mugs, precision=0.9, keep=1.0).class_below == {0: 0.7}


def test_pictures_of_nothing_count_against_precision() -> None:
    found = measured(
        [(0, 0.6, 0), (0, 0.8, 0)] + [(1, 0.9, 1)] * 20, [(0, 0.7, -1)], precision=0.9, false_alarms=1.0, keep=1.0
    )
    assert found.class_below == {0: 0.8}


def test_a_class_that_nothing_shows_is_named_only_above_what_was_falsely_taken_for_it() -> None:
    assert measured([(1, 0.9, 1)] * 20 + [(2, 0.95, 1)], precision=0.9).class_below == {2: 0.951}
    assert measured([(1, 0.9, 1)] * 20 + [(2, 1.0, 1)], precision=0.9).class_below == {2: 1.0}


def test_a_precision_that_no_threshold_reaches_is_refused_and_the_classes_are_named() -> None:
    cups = [(0, 0.6, 0), (0, 0.7, 0), (0, 0.8, 1)]
    with pytest.raises(ConfidenceError) as raised:
        measured(cups + [(1, 0.9, 1)] * 20, precision=0.9, keep=1.0)
    assert "No threshold gives a precision of 90% to 'cup' (at best 2 of 3 right)." in str(raised.value)


def test_pictures_of_nothing_that_are_surely_taken_for_a_class_are_refused() -> None:
    with pytest.raises(ConfidenceError, match="Do they show some of the classes"):
        measured(spread(), [(0, 1.0, -1)] * 10)


@pytest.mark.parametrize("wanted", [{"keep": 0.2}, {"keep": 1.1}, {"false_alarms": -0.1}, {"precision": 1.5}])
def test_impossible_wishes_are_refused(wanted: dict[str, float]) -> None:
    with pytest.raises(ConfidenceError, match=f"{next(iter(wanted))} must be between"):
        ThresholdOptions(**wanted)


def test_the_calibration_is_noted() -> None:
    found = measure_confidence(
        answers(*[(0, 0.9, 0)] * 27, *[(0, 0.9, 1)] * 3), labels=LABELS, temperature=1.25, error_before=0.2
    )
    assert found is not None
    assert (found.error, found.error_before, found.temperature) == (0.0, 0.2, 1.25)
    assert 0.03 < (found.error_by_chance or 0) < 0.06
