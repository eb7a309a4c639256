"""What the float network does on the calibration pictures, which every quantization is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.quantization.folding import FoldedNetwork
from edge.vision.preprocess import Preprocessing

__all__ = ["BATCH", "FloatStatistics", "batches", "float_statistics"]

BATCH: Final = 8
"""Pictures that go through a layer at once."""


@dataclass(frozen=True, slots=True)
class FloatStatistics:
    """What one layer does in float on the calibration pictures."""

    mean: Tensor
    """(out,), before the activation."""
    low: float
    high: float
    """The range after the activation."""


def float_statistics(
    network: FoldedNetwork,
    pixels: NDArray[np.uint8],
    preprocessing: Preprocessing,
    progress: Callable[[float], None] = lambda share: None,
) -> list[FloatStatistics]:
    """What every layer of ``network`` does on ``pixels``, uint8 (count, ρ, ρ, 3)."""
    sums = [torch.zeros_like(layer.bias, dtype=torch.float64) for layer in network.layers]
    counts, lows, highs = ([0.0] * len(sums) for _ in range(3))
    for done, x in batches(pixels, preprocessing):
        for index, (layer, _, y) in enumerate(network.trace(x)):
            sums[index] += y.sum(dim=(2, 3)).double().sum(dim=0)
            counts[index] += y.numel() / y.shape[1]
            out = layer.activate(y)
            lows[index], highs[index] = min(lows[index], out.min().item()), max(highs[index], out.max().item())
        progress(done)
    return [FloatStatistics((s / c).float(), lo, hi) for s, c, lo, hi in zip(sums, counts, lows, highs, strict=True)]


def batches(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> Iterator[tuple[float, Tensor]]:
    """The share done and the network's float input (up to BATCH, 3, ρ, ρ), batch after batch.

    Channels lie innermost, as in the pictures: convolutions take a third less time than on planes.
    """
    for start in range(0, len(pixels), BATCH):
        real = preprocessing.real(pixels[start : start + BATCH])
        yield min(1.0, (start + BATCH) / len(pixels)), torch.from_numpy(real).permute(0, 3, 1, 2)
