import numpy as np
import pytest

from benchmarks.calibration_methods import METHODS, cross_validated
from benchmarks.confidence import scores, ten_of_its_own, told_apart
from benchmarks.confidence_photos import Photos


def photos(count: int = 60, classes: int = 12) -> Photos:
    """Two photos of each of thirty objects; every second object is one of the classes, and mostly taken for it."""
    random = np.random.default_rng(0)
    objects = np.arange(count) // 2
    truth = np.where(objects % 2, -1, objects // 2 % classes)
    logits = random.normal(0, 1, (count, classes))
    known = np.flatnonzero(truth >= 0)
    logits[known, truth[known]] += 3
    return Photos(
        logits=logits,
        features=random.normal(0, 1, (count, 4)),
        truth=truth,
        objects=objects.astype(str),
        number=np.arange(count) % 2,
    )


def test_the_area_is_the_chance_that_a_known_photo_scores_higher() -> None:
    known, unknown = np.array([0.9, 0.8, 0.4]), np.array([0.5, 0.1, 0.4])
    area, passing = told_apart(known, unknown)
    assert area == pytest.approx(7.5 / 9)
    assert passing == pytest.approx(2 / 3)


def test_what_was_fitted_is_applied_to_other_objects_only() -> None:
    seen: list[tuple[set[str], set[str]]] = []
    every = photos().where(photos().truth >= 0)

    def spying(fitted_on: Photos) -> object:
        def apply(others: Photos) -> np.ndarray:
            seen.append((set(fitted_on.objects), set(others.objects)))
            return np.zeros(len(others.truth))

        return apply

    found = list(cross_validated(every, spying))  # type: ignore[arg-type]
    assert all(len(one) == len(every.truth) for one in found)
    assert seen and all(not learned & asked for learned, asked in seen)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_probabilities(name: str) -> None:
    every = photos().where(photos().truth >= 0)
    found = METHODS[name](every)(every)
    assert found.shape == (len(every.truth),) and ((found >= 0) & (found <= 1)).all()


def test_a_higher_score_is_a_better_known_photo() -> None:
    every = photos()
    for name, area, alarms in ten_of_its_own(every, 0):
        assert area > 0.6 and 0 <= alarms <= 1, name
    assert "features: cosine to the nearest mean" in scores(every, 1.0, every.where(every.truth >= 0))
