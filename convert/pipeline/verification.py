"""Does a written file answer as the float network does? Measured by running the file itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from convert.data.image_sets import ImageSet
from convert.errors import AccuracyError
from convert.quantization import FoldedNetwork
from edge.bundles.manifest import Accuracy
from edge.inference.backends import Backend
from edge.intervals import wilson_interval
from edge.vision.preprocess import Preprocessing, Preprocessor

__all__ = ["CONFIDENT", "Reference", "accuracy_of", "answers_of", "float_answers", "require", "verify"]

_BATCH: Final = 8
MOST_TIED: Final = 0.03
"""Ties where float is sure are not rounding: above this share the file is refused."""
CONFIDENT: Final = 0.5
"""Above this probability the float network is sure of its answer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Held-out pictures at one resolution, what the float network says of them, and what they show."""

    pixels: NDArray[np.uint8]
    """(count, ρ, ρ, 3) in the network's colour order."""
    probabilities: NDArray[np.float32]
    """(count, classes), of the float network."""
    truth: NDArray[np.int64]
    """(count,), -1 where the class is not known."""
    measured_on: str
    paths: tuple[Path, ...] = ()
    """The pictures' files; none where they are drawn."""
    are_synthetic: bool = False
    """Drawn ones, which cannot show how the file does on what float is sure of."""


@torch.inference_mode()
def float_answers(
    network: FoldedNetwork,
    pictures: ImageSet,
    resolution: int,
    preprocessing: Preprocessing,
    truth: Mapping[Path, int],
    measured_on: str,
    *,
    are_synthetic: bool = False,
) -> Reference:
    """Run the float network on held-out pictures."""
    pixels = pictures.pixels[resolution]
    answers = []
    for start in range(0, len(pixels), _BATCH):
        real = preprocessing.real(pixels[start : start + _BATCH])
        x = torch.from_numpy(real).permute(0, 3, 1, 2)
        answers.append(network.logits(x).softmax(dim=1).numpy())
    return Reference(
        pixels=pixels,
        probabilities=np.concatenate(answers),
        truth=np.array([truth.get(path, -1) for path in pictures.paths], np.int64),
        measured_on=measured_on,
        paths=tuple(pictures.paths),
        are_synthetic=are_synthetic,
    )


def verify(
    backend: Backend,
    reference: Reference,
    preprocessing: Preprocessing,
    progress: Callable[[float], None] = lambda share: None,
) -> Accuracy:
    """Run a written model on the held-out pictures, through the device's own preprocessing."""
    return accuracy_of(answers_of(backend, reference.pixels, preprocessing, progress), reference)


def answers_of(
    backend: Backend,
    pictures: NDArray[np.uint8],
    preprocessing: Preprocessing,
    progress: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """The probabilities (count, classes) of a written model for ``pictures`` (count, ρ, ρ, channels)."""
    preprocessor = Preprocessor(preprocessing, backend.input_spec)
    answers = []
    for done, pixels in enumerate(pictures, start=1):
        preprocessor.normalize(pixels, backend.input())
        answers.append(backend.infer()[0].copy())
        progress(done / len(pictures))
    return backend.output_spec.real(np.stack(answers))


def accuracy_of(found: NDArray[np.float32], reference: Reference) -> Accuracy:
    """What ``found``, probabilities (count, classes), shows beside the reference."""
    wanted, best = reference.probabilities.argmax(1), found.argmax(1)
    is_same, is_confident = best == wanted, reference.probabilities.max(1) > CONFIDENT
    can_tell = is_confident.any() and not reference.are_synthetic
    known = reference.truth >= 0
    truth, is_labelled = reference.truth[known], bool(known.any())
    return Accuracy(
        agreement=_share(is_same),
        agreement_range=wilson_interval(int(is_same.sum()), len(is_same)),
        confident_agreement=_share(is_same[is_confident]) if can_tell else None,
        confident=int(is_confident.sum()) if can_tell else 0,
        tied=_share((_is_tied(found) & _is_clear(reference.probabilities))[is_confident]) if can_tell else None,
        top1=_share(best[known] == truth) if is_labelled else None,
        top1_range=wilson_interval(int((best[known] == truth).sum()), len(truth)) if is_labelled else None,
        top5=_share(_among_best(found[known], truth)) if is_labelled else None,
        float_top1=_share(wanted[known] == truth) if is_labelled else None,
        pictures=len(reference.pixels),
        labelled=int(known.sum()),
        measured_on=reference.measured_on,
    )


def require(accuracy: Accuracy, min_agreement: float, name: str) -> Accuracy:
    """Refuse a file that disagrees too often.

    Returns:
        The accuracy with the threshold that it passed.

    Raises:
        AccuracyError: The agreement is below ``min_agreement``, or (unless that is 0) classes tie where float is sure.
    """
    tied = accuracy.tied or 0.0
    if min_agreement > 0 and tied > MOST_TIED and tied * accuracy.confident > 1.5:
        raise AccuracyError(
            f"In {name} two or more classes tie for the best on {tied:.1%} of the {accuracy.confident} "
            f"held-out pictures that float is sure of, expected at most {MOST_TIED:.0%}. "
            "Its logits clip: calibrate on pictures that the network is sure of as well."
        )
    if accuracy.agreement is not None and accuracy.agreement < min_agreement:
        raise AccuracyError(
            f"{name} agrees with float on {accuracy.agreement:.1%} of {accuracy.pictures} held-out pictures, expected "
            f"{min_agreement:.1%} or more. Calibrate on more pictures like those the camera will see, or accept less."
        )
    return replace(accuracy, min_agreement=min_agreement)


def _share(hits: NDArray[np.bool_]) -> float:
    return round(float(hits.mean()), 4)


def _is_tied(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the best of each row's classes shares its probability with another."""
    best = probabilities.max(axis=1, keepdims=True)
    ties: NDArray[np.bool_] = (probabilities == best).sum(axis=1) > 1
    return ties


def _is_clear(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the best of each row's classes has twice the probability of any other: then rounding cannot tie them."""
    second, best = np.partition(probabilities, -2, axis=1)[:, -2:].T
    clear: NDArray[np.bool_] = best >= 2 * second
    return clear


def _among_best(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits: NDArray[np.bool_] = (ranked == truth[:, None]).any(axis=1)
    return hits
