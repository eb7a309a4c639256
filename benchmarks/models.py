"""What several measurements do with a model file: load it, take its answers, time it beside another."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundles.variant import Variant
from edge.inference.backends import Backend, ModelFile, litert, onnxruntime
from edge.vision.preprocess import Preprocessing, Preprocessor

__all__ = ["best_classes", "interleaved_ratio", "load"]


def load(path: Path) -> Backend:
    """The backend of a ``.tflite`` or ``.onnx`` file, one thread."""
    model = ModelFile(path, Variant(1.0, 224), 1000)
    return onnxruntime.load(model, 1) if path.suffix == ".onnx" else litert.load(model, 1)


def best_classes(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What a file says pictures (count, ρ, ρ, 3) RGB are, through the device's own preprocessing."""
    best = []
    with contextlib.closing(load(path)) as backend:
        preprocessor = Preprocessor(Preprocessing(), backend.input_spec)
        for picture in pixels:
            preprocessor.normalize(picture, backend.input())
            best.append(int(backend.infer()[0].argmax()))
    return np.array(best, np.int64)


def interleaved_ratio(first: Callable[[], object], second: Callable[[], object], rounds: int) -> float:
    """How many times as long ``first`` takes as ``second``: the median over neighbouring runs, each order in turn."""
    for _ in range(10):
        first(), second()
    ratios = []
    for _ in range(rounds):
        a, b, c, d = (_elapsed(call) for call in (first, second, second, first))
        ratios.append((a + d) / (b + c))
    return statistics.median(ratios)


def _elapsed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
