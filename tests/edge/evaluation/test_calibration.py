import numpy as np
import pytest

from edge.evaluation.calibration import calibration_error, error_by_chance


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    probabilities = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    is_right = np.array([True, True, True, False, True, False])
    # bin of 0.95: 3 of 4 right, 0.20 off, four of six pictures; bin of 0.55: 1 of 2 right, 0.05 off, two of six
    assert calibration_error(probabilities, is_right) == pytest.approx((4 * 0.20 + 2 * 0.05) / 6)


def test_certain_answers_count_in_the_last_bin() -> None:
    assert calibration_error(np.ones(4), np.ones(4, bool)) == 0.0
    assert calibration_error(np.ones(4), np.zeros(4, bool)) == 1.0


def test_no_picture_has_no_error() -> None:
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == error_by_chance(np.zeros(0)) == 0.0


def test_chance_shrinks_with_the_root_of_the_number_of_pictures() -> None:
    few, many = (error_by_chance(np.full(count, 0.5)) for count in (25, 2500))
    # the mean of |binomial - mean| / n is sqrt(2 p (1 - p) / (pi n))
    assert few == pytest.approx(np.sqrt(0.5 / np.pi / 25), rel=0.1)
    assert many == pytest.approx(few / 10, rel=0.15)


def test_chance_is_the_same_every_time() -> None:
    assert error_by_chance(np.linspace(0.1, 1, 50)) == error_by_chance(np.linspace(0.1, 1, 50))
