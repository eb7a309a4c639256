"""Golden pictures for a bundle: few, small, and such that the usual mistakes on the device give another answer."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from convert.model import IMAGENET_MEAN, IMAGENET_STD
from edge.bundles.bundle import MANIFEST, Bundle
from edge.bundles.manifest import Artifact, BundledVariant, Golden, GoldenAnswer, Manifest
from edge.bundles.members import FileEntry
from edge.errors import OutputError
from edge.files import sha256_of, to_json
from edge.inference.backends import Backend
from edge.inference.backends.base import ModelFile
from edge.inference.classifier import Classifier
from edge.inference.selftest import input_means
from edge.vision.preprocess import ColourOrder, Frame, Preprocessing

__all__ = ["CANDIDATES", "add_golden", "mistakes", "small_picture"]

_FOLDER: Final = "golden"
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
_LEAST: Final = 0.01
"""Probability below which a class is not worth a line of the manifest."""
_LONGEST_SIDE: Final = 320
_LEVEL_STEP: Final = 8
"""Colour levels are rounded to multiples of this: noise does not compress."""
_RUNTIMES: Final = {"tflite": "litert", "onnx": "onnxruntime"}


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
    folder = bundle.root / _FOLDER
    folder.mkdir(exist_ok=True)
    entries = tuple(_write(folder / f"{number}.png", frame) for number, frame in enumerate(chosen))
    answers: dict[str, tuple[GoldenAnswer, ...]] = {}
    inputs: dict[int, tuple[tuple[float, ...], ...]] = {}
    for entry in bundle.variants:
        for artifact in entry.artifacts:
            if artifact.format in _RUNTIMES:
                with _classifier(bundle, entry, artifact) as classifier:
                    answers[artifact.file] = tuple(_answer(classifier, frame) for frame in chosen)
                    inputs[entry.variant.resolution] = tuple(_input(classifier, frame) for frame in chosen)
    manifest = replace(bundle.manifest, golden=Golden(pictures=entries, inputs=inputs, answers=answers))
    (bundle.root / MANIFEST).write_text(to_json(manifest.to_dict()), encoding="utf-8")
    return manifest


def small_picture(picture: Frame) -> Frame:
    """``picture`` at 320 pixels at most, in few colours: a small file, and no rounding in the way of the test."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    smooth = np.asarray(cv2.medianBlur(small, 3), np.uint8)
    return smooth // _LEVEL_STEP * _LEVEL_STEP + _LEVEL_STEP // 2


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
    table = np.array([_harm(bundle, entry, candidates) for entry in {bundle.variants[0], bundle.variants[-1]}])
    harm = table.min(axis=0)  # (pictures, mistakes): what the variant that is hurt least shows
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
    backend = _open(bundle, entry, next(a for a in entry.artifacts if a.format in _RUNTIMES))
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


def _answer(classifier: Classifier, frame: Frame) -> GoldenAnswer:
    seen = classifier.probabilities(frame)
    best = [int(class_id) for class_id in np.argsort(-seen, kind="stable")[:_CLASSES]]
    known = tuple((class_id, round(min(1.0, max(0.0, float(seen[class_id]))), 4)) for class_id in best)
    return tuple(pair for pair in known if pair == known[0] or pair[1] >= _LEAST)


def _input(classifier: Classifier, frame: Frame) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in input_means(classifier, frame))


def _classifier(bundle: Bundle, entry: BundledVariant, artifact: Artifact) -> Classifier:
    recipe = bundle.manifest.preprocessing
    return Classifier.of_backend(_open(bundle, entry, artifact), bundle.labels, recipe, variant=entry.variant)


def _open(bundle: Bundle, entry: BundledVariant, artifact: Artifact) -> Backend:
    module = importlib.import_module(f"edge.inference.backends.{_RUNTIMES[artifact.format]}")
    backend: Backend = module.load(ModelFile(bundle.path(artifact.file), entry.variant, bundle.manifest.classes), 1)
    return backend


def _write(path: Path, frame: Frame) -> FileEntry:
    is_encoded, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not is_encoded:
        raise OutputError(f"Cannot write {path}: OpenCV does not encode PNG here.")
    path.write_bytes(data.tobytes())
    name = f"{path.parent.name}/{path.name}"
    return FileEntry(file=name, size_bytes=path.stat().st_size, sha256=sha256_of(path))
