"""Which of several quantized outputs of a layer leaves the whole network's answers nearest to float's."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.quantize.calibration import batches
from convert.quantize.folding import FoldedNetwork
from convert.quantize.network import Quantization
from edge.preprocess import Preprocessing

__all__ = ["Judge"]


class Judge:
    """Holds the float network's answers to the calibration pictures, and compares with them."""

    def __init__(self, network: FoldedNetwork, pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> None:
        self._layers = network.layers
        self._answers = [network.logits(x).log_softmax(dim=1) for _, x in batches(pixels, preprocessing)]

    def divergence(self, index: int, levels: Iterable[Tensor], quantization: Quantization) -> float:
        """Mean Kullback-Leibler divergence from float's answers, in nats, of a network quantized up to a layer.

        Args:
            index: The layer's position; those after it are computed in float.
            levels: Its int8 output on every calibration picture, batch by batch.
            quantization: What the levels stand for.
        """
        total, count = 0.0, 0
        for wanted, batch in zip(self._answers, levels, strict=True):
            found = self._finish(index, (batch.float() - quantization.zero_point) * quantization.scale)
            total += (wanted.exp() * (wanted - found.log_softmax(dim=1))).sum().item()
            count += len(batch)
        return total / count

    def _finish(self, index: int, x: Tensor) -> Tensor:
        """Logits from one layer's output on."""
        for layer in self._layers[index + 1 :]:
            if layer.kind == "classifier":
                x = x.mean(dim=(2, 3), keepdim=True)
            x = layer.activate(layer.convolve(x))
        return x.flatten(1)
