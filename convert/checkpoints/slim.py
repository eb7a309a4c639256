"""TF-slim's variables in a NumPy archive, as TensorFlow's checkpoint reader names them.

Names and shapes: tensorflow/models ``research/slim/nets/mobilenet_v1.py``. Batch norm's epsilon is 1e-3, the activation
ReLU6, the padding SAME; no layer has fewer than 8 channels. Of moving averages of the weights, as slim's training
keeps them, the averages are taken: slim evaluates with them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.weights import Arrays, Weights, classifier_without_background, configured
from convert.errors import CheckpointError
from edge.bundles.architecture import BLOCKS

__all__ = ["is_slim", "read"]

_AVERAGE: Final = "/ExponentialMovingAverage"
_STEM: Final = re.compile(rf"(.*)Conv2d_0/weights({_AVERAGE})?(:0)?")
_BN: Final = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def is_slim(arrays: Arrays) -> bool:
    """Whether the names are TF-slim's."""
    return any(map(_STEM.fullmatch, arrays))


def read(path: Path, arrays: Arrays) -> Weights:
    """The network in ``arrays``.

    Raises:
        CheckpointError: A variable is missing or has another rank.
    """
    source = _Variables(path, arrays)
    tensors = source.unit("Conv2d_0", "weights", "stem")
    for index in range(len(BLOCKS)):
        tensors |= source.unit(f"Conv2d_{index + 1}_depthwise", "depthwise_weights", f"blocks.{index}.0")
        tensors |= source.unit(f"Conv2d_{index + 1}_pointwise", "weights", f"blocks.{index}.1")
    tensors["classifier.weight"] = source.get("Logits/Conv2d_1c_1x1/weights", 4)[0, 0].T
    tensors["classifier.bias"] = source.get("Logits/Conv2d_1c_1x1/biases", 1)
    note = classifier_without_background(tensors)
    return Weights(layout="tf-slim", config=configured(tensors), tensors=tensors, note=note)


class _Variables:
    """The variables of one network, by their names below its scope."""

    def __init__(self, path: Path, arrays: Arrays) -> None:
        self._path = path
        self._named = {name.removesuffix(":0"): values for name, values in arrays.items()}
        self._scope = next(match[1] for match in map(_STEM.fullmatch, arrays) if match)

    def unit(self, layer: str, kernel: str, ours: str) -> Arrays:
        weight = self.get(f"{layer}/{kernel}", 4)
        order = (2, 3, 0, 1) if kernel.startswith("depthwise") else (3, 2, 0, 1)
        norms = {f"{ours}.bn.{name}": self.get(f"{layer}/BatchNorm/{theirs}", 1) for theirs, name in _BN.items()}
        return {f"{ours}.conv.weight": weight.transpose(order), **norms}

    def get(self, name: str, rank: int) -> NDArray[np.float32]:
        whole = self._scope + name
        found = self._named.get(whole + _AVERAGE, self._named.get(whole))
        if found is None:
            raise CheckpointError(f"{self._path} lacks variable '{whole}': it is not a whole MobileNet v1 of TF-slim.")
        if found.ndim != rank:
            raise CheckpointError(f"{self._path}: variable '{whole}' is {found.shape}, expected {rank} dimensions.")
        return found
