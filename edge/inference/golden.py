"""Golden pictures of a bundle: written, and answered by its own files, for the self-test of the device that runs it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.bundles.bundle import Bundle
from edge.bundles.manifest import Artifact, BundledVariant, Golden, GoldenAnswer
from edge.bundles.members import FileEntry
from edge.bundles.writing import file_entry
from edge.errors import OutputError
from edge.inference.backends import Backend
from edge.inference.backends.base import ModelFile
from edge.inference.classifier import Classifier
from edge.inference.selftest import input_means
from edge.vision.preprocess import Frame

__all__ = ["RUNTIMES", "open_artifact", "small_picture", "write_golden"]

RUNTIMES: Final = {"tflite": "litert", "onnx": "onnxruntime"}
"""The backend that runs a file of each format anywhere."""
_FOLDER: Final = "golden"
_CLASSES: Final = 5
_LEAST: Final = 0.01
"""Probability below which a class is not worth a line of the manifest."""
_LONGEST_SIDE: Final = 320
_LEVEL_STEP: Final = 8
"""Colour levels are rounded to multiples of this: noise does not compress."""


def write_golden(bundle: Bundle, pictures: Sequence[Frame]) -> Golden:
    """Write golden pictures into a bundle's folder, and what its files answer to them.

    Args:
        bundle: A bundle in a folder that may be written to.
        pictures: uint8 (height, width, 3) BGR.

    Raises:
        OSError: A file cannot be written.
        BackendError: A model file cannot be run.
    """
    folder = bundle.root / _FOLDER
    folder.mkdir(exist_ok=True)
    entries = tuple(_write(folder / f"{number}.png", frame) for number, frame in enumerate(pictures))
    answers: dict[str, tuple[GoldenAnswer, ...]] = {}
    inputs: dict[int, tuple[tuple[float, ...], ...]] = {}
    recipe = bundle.manifest.preprocessing
    for entry in bundle.variants:
        for artifact in entry.artifacts:
            if artifact.format in RUNTIMES:
                backend = open_artifact(bundle, entry, artifact)
                with Classifier.of_backend(backend, bundle.labels, recipe, variant=entry.variant) as classifier:
                    answers[artifact.file] = tuple(_answer(classifier, frame) for frame in pictures)
                    inputs[entry.variant.resolution] = tuple(_input(classifier, frame) for frame in pictures)
    return Golden(pictures=entries, inputs=inputs, answers=answers)


def small_picture(picture: Frame) -> Frame:
    """``picture`` at 320 pixels at most, in few colours: a small file, and no rounding in the way of the test."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    smooth = np.asarray(cv2.medianBlur(small, 3), np.uint8)
    return smooth // _LEVEL_STEP * _LEVEL_STEP + _LEVEL_STEP // 2


def open_artifact(bundle: Bundle, entry: BundledVariant, artifact: Artifact) -> Backend:
    """One file of a bundle in the runtime that runs its format anywhere, on one thread.

    Raises:
        BackendError: It cannot be run.
    """
    module = importlib.import_module(f"edge.inference.backends.{RUNTIMES[artifact.format]}")
    backend: Backend = module.load(ModelFile(bundle.path(artifact.file), entry.variant, bundle.manifest.classes), 1)
    return backend


def _answer(classifier: Classifier, frame: Frame) -> GoldenAnswer:
    seen = classifier.probabilities(frame)
    best = [int(class_id) for class_id in np.argsort(-seen, kind="stable")[:_CLASSES]]
    known = tuple((class_id, round(min(1.0, max(0.0, float(seen[class_id]))), 4)) for class_id in best)
    return tuple(pair for pair in known if pair == known[0] or pair[1] >= _LEAST)


def _input(classifier: Classifier, frame: Frame) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in input_means(classifier, frame))


def _write(path: Path, frame: Frame) -> FileEntry:
    is_encoded, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not is_encoded:
        raise OutputError(f"Cannot write {path}: OpenCV does not encode PNG here.")
    path.write_bytes(data.tobytes())
    return file_entry(path.parent.parent, f"{path.parent.name}/{path.name}")
