"""How near an int8 file comes to another network: by the features, for a random classifier multiplies a level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inference.backends.litert import LiteRTBackend
from edge.teaching.graph import Backbone

__all__ = ["closeness", "features_of"]


def features_of(content: bytes, pixels: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    """What a ``.tflite`` file computes before its classifier, float32 (pictures, features)."""
    whole, cut = folder / "whole.tflite", folder / "cut.tflite"
    whole.write_bytes(content)
    cut.write_bytes(Backbone(whole).without_classifier())
    backend, found = LiteRTBackend(cut, 1), []
    for picture in pixels:
        backend.input()[0] = picture if backend.input_spec.dtype == "uint8" else (picture ^ 0x80).view(np.int8)
        found.append(backend.output_spec.real(backend.infer()).reshape(-1).copy())
    backend.close()
    return np.stack(found)


def closeness(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Correlation, 1 for equal ones, of how features differ from picture to picture; of other pictures, about 0."""
    centre = wanted.mean(0)
    return float(np.corrcoef((found - centre).ravel(), (wanted - centre).ravel())[0, 1])
