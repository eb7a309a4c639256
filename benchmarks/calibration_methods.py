"""Ways to make probabilities fit, for ``benchmarks/confidence.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.confidence_photos import Floats, Photos, softmax
from convert.pipeline.temperature import fit_temperature

_FOLDS, _SPLITS = 8, 3
_TEMPERATURES: Final = np.geomspace(0.2, 10, 120)


def by_true_class(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature that makes the true classes likeliest."""
    chosen = np.arange(len(truth))
    costs = [-np.log(np.maximum(softmax(logits, t)[chosen, truth], 1e-30)).sum() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(costs))])


def by_mean(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature whose mean probability is the share of right answers."""
    share = (logits.argmax(axis=1) == truth).mean()
    gaps = [abs(softmax(logits, t).max(axis=1).mean() - share) for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(gaps))])


def platt(photos: Photos) -> Callable[[Photos], Floats]:
    """A logistic curve over the highest logit, two numbers, in place of the softmax."""
    x = torch.from_numpy(photos.logits.max(axis=1))
    right = torch.from_numpy(photos.is_right.astype(np.float64))
    curve = torch.tensor([0.5, -float(x.mean()) / 2], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([curve], max_iter=200, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(curve[0] * x + curve[1], right)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(cost)  # type: ignore[no-untyped-call]
    slope, shift = curve.detach().tolist()
    return lambda others: np.asarray(1 / (1 + np.exp(-(slope * others.logits.max(axis=1) + shift))))


def cooling(fit: Callable[[Floats, NDArray[np.int64]], float]) -> Callable[[Photos], Callable[[Photos], Floats]]:
    """A temperature that ``fit`` finds."""

    def fitted(photos: Photos) -> Callable[[Photos], Floats]:
        temperature = fit(photos.logits, photos.truth)
        return lambda others: np.asarray(softmax(others.logits, temperature).max(axis=1))

    return fitted


METHODS: Final[Mapping[str, Callable[[Photos], Callable[[Photos], Floats]]]] = {
    "as trained": lambda photos: lambda others: np.asarray(softmax(others.logits).max(axis=1)),
    "**temperature, by right and wrong answers**": cooling(fit_temperature),
    "temperature, by the true classes": cooling(by_true_class),
    "temperature, by the mean": cooling(by_mean),
    "logistic curve over the highest logit": platt,
}


def cross_validated(photos: Photos, method: Callable[[Photos], Callable[[Photos], Floats]]) -> Iterator[Floats]:
    """The probabilities of all photos, each by what was fitted on other objects; for several splits."""
    objects = np.unique(photos.objects)
    for seed in range(_SPLITS):
        shuffled = np.random.default_rng(seed).permutation(objects)
        fold_of = {one: number % _FOLDS for number, one in enumerate(shuffled)}
        folds = np.array([fold_of[one] for one in photos.objects])
        found = np.zeros(len(folds))
        for number in range(_FOLDS):
            found[folds == number] = method(photos.where(folds != number))(photos.where(folds == number))
        yield found
