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
    inverse = np.linalg.inv(kernel + np.diag(_RIDGE * scale / weight))
    dual = inverse @ targets
    held_out = _left_out(inverse, dual, targets, np.asarray(bursts))
    temperature = _temperature(held_out, classes, count)
    weights = centred.T @ dual / temperature
    bias = _OFFSET * scale * dual.sum(0) / temperature - mean @ weights
    strange = _left_out(inverse, dual, targets, classes) / temperature
    seen = np.concatenate([held_out / temperature, strange, features @ weights + bias])
    low, high = float(seen.min()), float(seen.max())
    margin = max(0.25 * (high - low), 1e-3)
    head = Head(weights, bias, (low - margin, high + margin), temperature)
    return Lesson(head, softmax(held_out / temperature), _best_of_others(strange, classes))


def softmax(logits: Array) -> Array:
    """Probabilities, over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _left_out(inverse: Array, dual: Array, targets: Array, groups: NDArray[np.intp]) -> Array:
    """What the regression without each group answers to that group, (pictures, classes), exactly.

    With M the regularized kernel, the residuals of a group G that was left out are inverse(inverse(M)[G, G]) times
    inverse(M) Y [G]: "leave-one-out" of Allen's PRESS for more than one row.
    """
    answers = np.empty_like(targets)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        answers[rows] = targets[rows] - np.linalg.solve(inverse[np.ix_(rows, rows)], dual[rows])
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
