"""Round a layer's weights so that its output changes least on real inputs.

Rounding each weight to the nearest level treats all errors alike. The output does not: inputs are correlated, so the
error of one weight can be made up by the others. The weights are rounded one input at a time, the error of each spread
over those not yet rounded by the inverse covariance of the inputs (GPTQ, arXiv 2210.17323, after Optimal Brain
Surgeon). Beforehand the weights are moved a little towards those that undo, as far as a linear layer can, the error
that the rounded layers before brought into the inputs: a ridge regression with a strong pull to the trained weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from convert.quantization.folding import FoldedLayer

__all__ = ["MomentSums", "Moments", "round_weights"]

PULL: Final = 4.0
"""How hard the weights are held to the trained ones, in units of the inputs' mean variance."""
DAMPING: Final = 0.01
"""Added to the inputs' variances, in the same units: the more, the nearer to plain rounding."""
_LARGEST: Final = 127
_BLOCK: Final = 64
"""Inputs rounded before their errors are spread over all that follow."""
_LARGE: Final = 56
"""From this side on a layer's output has positions enough: every other one of each row and column is looked at."""
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Moments:
    """Second moments of a layer's inputs, for each group of channels that is filtered together.

    A depthwise layer has a group of 9 taps for each channel, any other layer one group of all its inputs.
    """

    mean: Tensor
    """(groups, inputs), of the quantized inputs."""
    real_mean: Tensor
    """(groups, inputs), of the inputs that float has."""
    covariance: Tensor
    """(groups, inputs, inputs), of the quantized inputs."""
    error: Tensor
    """(groups, inputs, inputs): covariance of (float - quantized) inputs with the quantized ones."""


class MomentSums:
    """Sums up :class:`Moments` picture by picture, in double precision.

    The first picture's means are taken off all, or what varies little around a large mean would be lost.
    """

    def __init__(self, layer: FoldedLayer) -> None:
        self._layer = layer
        groups, inputs = (len(layer.weight), 9) if layer.kind == "depthwise" else (1, layer.weight[0].numel())
        self._count = 0
        self._offset: Tensor | None = None
        self._sum, self._error_sum = (torch.zeros(groups, inputs, dtype=torch.float64) for _ in range(2))
        self._square, self._error = (torch.zeros(groups, inputs, inputs, dtype=torch.float64) for _ in range(2))

    def add(self, quantized: Tensor, real: Tensor) -> None:
        """Add the inputs of one picture, both (channels, height, width): as they are and as float has them."""
        x, error = self._windows(quantized), self._windows(real - quantized)
        if self._offset is None:
            self._offset = x.mean(dim=-1, keepdim=True)
        x -= self._offset
        self._count += x.shape[-1]
        self._sum += x.sum(dim=-1)
        self._error_sum += error.sum(dim=-1)
        self._square += x @ x.transpose(1, 2)
        self._error += error @ x.transpose(1, 2)

    def moments(self) -> Moments:
        """The moments of all that was added."""
        assert self._offset is not None
        mean, error_mean = self._sum / self._count, self._error_sum / self._count
        whole = mean + self._offset[:, :, 0].double()
        return Moments(
            mean=whole,
            real_mean=whole + error_mean,
            covariance=self._square / self._count - mean[:, :, None] * mean[:, None, :],
            error=self._error / self._count - error_mean[:, :, None] * mean[:, None, :],
        )

    def _windows(self, x: Tensor) -> Tensor:
        """What the filters see: (groups, inputs, positions)."""
        layer = self._layer
        if layer.weight.shape[-1] == 1:
            return x.flatten(1)[None]
        stride = layer.stride * (2 if x.shape[-1] >= _LARGE * layer.stride else 1)
        windows = functional.unfold(functional.pad(x, layer.pads)[None], 3, stride=stride)
        return windows.view(len(self._sum), -1, windows.shape[-1])


def round_weights(weight: Tensor, scales: Tensor, moments: Moments) -> Tensor:
    """The weights as whole numbers of steps.

    Args:
        weight: (out, in, height, width), float.
        scales: (out,), the step of each output channel.
        moments: Of the layer's inputs.

    Returns:
        (out, in, height, width), whole numbers from -127 to 127.
    """
    groups, inputs, _ = moments.covariance.shape
    spread = torch.diagonal(moments.covariance, dim1=1, dim2=2).mean(dim=1)[:, None, None] + _TINY
    eye = torch.eye(inputs, dtype=torch.float64)
    rows = weight.double().view(groups, -1, inputs)
    held = moments.covariance + PULL * spread * eye
    rows = rows + torch.linalg.solve(held, (rows @ moments.error).transpose(1, 2)).transpose(1, 2)
    steps = scales.double().view(groups, -1, 1)
    levels = _round_rows(rows / steps, moments.covariance + DAMPING * spread * eye)
    return levels.view_as(weight).float()


def _round_rows(rows: Tensor, covariance: Tensor) -> Tensor:
    """Round (groups, rows, inputs) by the covariance (groups, inputs, inputs), the most active inputs first."""
    order = torch.diagonal(covariance, dim1=1, dim2=2).sum(dim=0).argsort(descending=True, stable=True)
    rows, covariance = rows[:, :, order].clone(), covariance[:, order][:, :, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
    spread = torch.linalg.cholesky(inverse, upper=True)
    levels = torch.empty_like(rows)
    for start in range(0, rows.shape[2], _BLOCK):
        end = min(start + _BLOCK, rows.shape[2])
        errors = torch.empty_like(rows[:, :, start:end])
        for n in range(start, end):
            levels[:, :, n] = rows[:, :, n].round().clamp(-_LARGEST, _LARGEST)
            error = (rows[:, :, n] - levels[:, :, n]) / spread[:, n, n, None]
            rows[:, :, n:end] -= error[:, :, None] * spread[:, n, None, n:end]
            errors[:, :, n - start] = error
        rows[:, :, end:] -= errors @ spread[:, start:end, end:]
    return levels[:, :, order.argsort()]
