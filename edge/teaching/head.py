"""The classifier that is learned: ridge regression onto the classes, in closed form, with its own held-out answers.

Of ridge regression, class means, shrunken discriminants and logistic regression on the features of an ImageNet network,
ridge was the most accurate or within chance of it at every number of pictures, told other objects from known ones best,
and is the only one whose answers to pictures that were left out follow exactly from a single inverse
(``docs/teaching.md`` has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Head", "Lesson", "learn", "softmax"]

_RIDGE: Final = 0.3
"""The penalty, as a share of the mean squared distance of the features from their mean."""
_OFFSET: Final = 1e3
"""How little the offset is penalized, in the same unit."""
_TEMPERATURES: Final = np.geomspace(0.01, 1.0, 60)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear classifier with softmax."""

    weights: Array
    """(features, classes)."""
    bias: Array
    """(classes,)."""
    logits_range: tuple[float, float]
    """What the logits of known and of other pictures span."""
    temperature: float
    """What the regression's answers were divided by; it is in the weights."""

    def logits(self, features: Array) -> Array:
        """(pictures, classes)."""
        return features @ self.weights + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was learned, and how well."""

    head: Head
    held_out: Array
    """Probabilities of the classes for each picture, (pictures, classes), learned without the picture's burst."""
    strangers: Array
    """Each picture's highest probability where its whole class was not learned, (pictures,); empty for two classes."""


def learn(features: Array, classes: NDArray[np.intp], bursts: Sequence[int], count: int) -> Lesson:
    """Learn a head, with what it answers to pictures it has not seen.

    Args:
        features: (pictures, features).
        classes: The class of each picture, 0 to ``count`` - 1, each of which occurs.
        bursts: Of each picture; those of one burst are left out together.
        count: Number of classes.
    """
    sizes = np.bincount(classes, minlength=count)
    weight = len(classes) / (count * sizes[classes])  # every class counts alike, however many pictures it has
    mean = (weight @ features) / weight.sum()
    centred = features - mean
    scale = max(float((centred**2).sum(1).mean()), 1e-12)
    kernel = centred @ centred.T + _OFFSET * scale
    targets = np.eye(count)[classes]
    noise = _RIDGE * scale / weight
    inverse = np.linalg.inv(kernel + np.diag(noise))
    dual = inverse @ targets
    held_out = _without_bursts(inverse, dual, targets, noise, classes, np.asarray(bursts))
    temperature = _temperature(held_out, classes, count)
    weights = centred.T @ dual / temperature
    bias = _OFFSET * scale * dual.sum(0) / temperature - mean @ weights
    strange = _without_classes(inverse, dual, targets, classes) / temperature
    seen = np.concatenate([held_out / temperature, strange, features @ weights + bias])
    low, high = float(seen.min()), float(seen.max())
    margin = max(0.25 * (high - low), 1e-3)
    head = Head(weights, bias, (low - margin, high + margin), temperature)
    return Lesson(head, softmax(held_out / temperature), _best_of_others(strange, classes))


def softmax(logits: Array) -> Array:
    """Probabilities, over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _without_classes(inverse: Array, dual: Array, targets: Array, classes: NDArray[np.intp]) -> Array:
    """What the regression without each class answers to the pictures of that class, (pictures, classes), exactly.

    With M the regularized kernel, the residuals of rows G that were left out are inverse(inverse(M)[G, G]) times
    inverse(M) Y [G]: Allen's PRESS for more than one row.
    """
    answers = np.empty_like(targets)
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        answers[rows] = targets[rows] - np.linalg.solve(inverse[np.ix_(rows, rows)], dual[rows])
    return answers


def _without_bursts(
    inverse: Array,
    dual: Array,
    targets: Array,
    noise: Array,
    classes: NDArray[np.intp],
    bursts: NDArray[np.intp],
) -> Array:
    """What the regression without each burst answers to that burst, (pictures, classes), exactly.

    What is left of the burst's class counts for the whole class again, as it would if the burst had never been: else
    the class that is tested would be at a disadvantage in every fold. The regression is the mean of a Gaussian process,
    so the class is left out as in :func:`_without_classes`, and the rest of it observed with less noise.
    """
    answers = np.empty_like(targets)
    for number in np.unique(classes):
        rows = np.flatnonzero(classes == number)
        covariance = np.linalg.inv(inverse[np.ix_(rows, rows)])
        means = targets[rows] - covariance @ dual[rows]
        covariance -= np.diag(noise[rows])
        for burst in np.unique(bursts[rows]):
            out, rest = np.flatnonzero(bursts[rows] == burst), np.flatnonzero(bursts[rows] != burst)
            less = np.diag(noise[rows[rest]] * len(rest) / len(rows))
            gain = np.linalg.solve(covariance[np.ix_(rest, rest)] + less, targets[rows[rest]] - means[rest])
            answers[rows[out]] = means[out] + covariance[np.ix_(out, rest)] @ gain
    return answers


def _temperature(held_out: Array, classes: NDArray[np.intp], count: int) -> float:
    """What to divide the answers by, so that their softmax is as sure as they are right.

    The likelihood of the held-out pictures decides. So that few pictures, all right, do not make it infinitely sure,
    each counts as right with the rule of succession's probability (as in Platt's scaling).
    """
    doubt = 1 / (len(classes) + 2)
    wanted = np.full((len(classes), count), doubt / max(1, count - 1))
    wanted[np.arange(len(classes)), classes] = 1 - doubt
    losses = [-(wanted * np.log(softmax(held_out / t) + 1e-12)).sum(1).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def _best_of_others(strange: Array, classes: NDArray[np.intp]) -> Array:
    """The highest probability among the classes that were learned, for pictures of the one that was not."""
    count = strange.shape[1]
    if count < 3:
        return np.empty(0)
    others = np.arange(count) != classes[:, None]
    return np.asarray(softmax(strange[others].reshape(len(classes), count - 1)).max(1))
