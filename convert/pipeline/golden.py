"""Golden pictures for a bundle: few, small, and such that the usual mistakes on the device give another answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from convert.model import IMAGENET_MEAN, IMAGENET_STD
from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import BundledVariant, Manifest
from edge.inference.classifier import Classifier
from edge.inference.golden import RUNTIMES, open_artifact, small_picture, write_golden
from edge.json_files import to_json
from edge.vision.preprocess import ColourOrder, Frame, Preprocessing

__all__ = ["CANDIDATES", "add_golden", "mistakes"]

_PICTURES: Final = 3
CANDIDATES: Final = 16
"""Pictures that are looked at."""
_WASHES: Final = (0.2, 0.4, 0.6)
"""Shares of colour laid over each, so that swapped channels show in the input, and doubt in the answer."""
_NOISE: Final = 2
"""Colour levels of the noise that a golden answer must bear."""
_STEADY: Final = 0.05
"""The most that such noise may move a probability."""
_CLASSES: Final = 5
_SHORTLIST: Final = 12
"""Candidates that the largest variant, which takes longest, is asked about."""


def add_golden(bundle: Bundle, pictures: Iterable[Frame]) -> Manifest:
    """Choose golden pictures, write them into the bundle's folder, and write its manifest again.

    Args:
        bundle: A bundle in a folder that may be written to.
        pictures: What to choose from, uint8 (height, width, 3) BGR; the first sixteen are looked at.

    Returns:
        The manifest, as it was written.

    Raises:
        OSError: A file cannot be written.
        BackendError: A model file cannot be run.
    """
    taken = [picture for picture, _ in zip(pictures, range(CANDIDATES), strict=False)]
    candidates = [small_picture(_washed(picture, share)) for picture in taken for share in _WASHES]
    chosen = _choose(bundle, candidates)
    manifest = replace(bundle.manifest, golden=write_golden(bundle, chosen))
    (bundle.root / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")
    return manifest


def mistakes(right: Preprocessing) -> Mapping[str, Preprocessing]:
    """What goes wrong on devices, each as the preprocessing it amounts to."""
    other: ColourOrder = "BGR" if right.colour_order == "RGB" else "RGB"
    count = right.channels
    black = (0.0,) * count
    found: dict[str, Any] = {
        "range 0 to 1": replace(right, mean=black, std=(255.0,) * count),
        "range 0 to 255": replace(right, mean=black, std=(1.0,) * count),
        "ImageNet's mean and deviation": replace(right, mean=IMAGENET_MEAN[:count], std=IMAGENET_STD[:count]),
        "another crop": replace(right, crop_fraction=0.6 * right.crop_fraction),
    }
    if count == 3:
        found["swapped colours"] = replace(right, colour_order=other)
    return {name: recipe for name, recipe in found.items() if recipe != right}


def _choose(bundle: Bundle, candidates: Sequence[Frame]) -> list[Frame]:
    """The pictures that together tell each mistake best, judged by the largest and the smallest variant."""
    harm = np.array(_harm(bundle, bundle.variants[-1], candidates))  # (pictures, mistakes)
    if len(bundle.variants) > 1:  # what the variant that is hurt least shows
        likely = np.argsort(-harm.sum(axis=1), kind="stable")[:_SHORTLIST]
        harm = np.minimum(harm[likely], _harm(bundle, bundle.variants[0], [candidates[number] for number in likely]))
        candidates = [candidates[number] for number in likely]
    chosen: list[int] = []
    while len(chosen) < min(_PICTURES, len(candidates)):
        reached = harm[chosen].max(axis=0) if chosen else np.zeros(harm.shape[1])
        gains = np.maximum(harm, reached).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
    return [candidates[number] for number in sorted(chosen)]


def _harm(bundle: Bundle, entry: BundledVariant, candidates: Sequence[Frame]) -> list[list[float]]:
    """For each picture and mistake, the greatest change of a probability; none where mere noise changes one as well."""
    right = bundle.manifest.preprocessing
    backend = open_artifact(bundle, entry, next(a for a in entry.artifacts if a.format in RUNTIMES))
    recipes = [right, *mistakes(right).values()]
    classifiers = [Classifier.of_backend(backend, bundle.labels, recipe, variant=entry.variant) for recipe in recipes]
    rows = []
    for frame in candidates:
        truth, *wrong = (classifier.probabilities(frame) for classifier in classifiers)
        shaken = classifiers[0].probabilities(_shaken(frame))
        best = np.argsort(-truth)[:_CLASSES]
        is_steady = np.abs(shaken - truth).max() <= _STEADY
        rows.append([float(np.abs(answer - truth)[best].max()) if is_steady else 0.0 for answer in wrong])
    backend.close()
    return rows


def _washed(picture: Frame, share: float) -> Frame:
    """``picture`` under a wash of colour that goes from blue to red."""
    across = np.linspace(0, 255, picture.shape[1])
    wash = np.broadcast_to(np.stack([255 - across, 0 * across, across], axis=1), picture.shape)
    return np.asarray((1 - share) * picture + share * wash, np.uint8)


def _shaken(frame: Frame) -> Frame:
    noise = np.random.default_rng(0).integers(-_NOISE, _NOISE + 1, frame.shape)
    return np.asarray(np.clip(frame + noise, 0, 255), np.uint8)
