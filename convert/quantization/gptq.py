"""Round a layer's weights so that its output changes least on real inputs.

Rounding each weight to the nearest level treats all errors alike. The output does not: inputs are correlated, so the
error of one weight can be made up by the others. The weights are rounded one input at a time, the error of each spread
over those not yet rounded by the inverse covariance of the inputs (GPTQ, arXiv 2210.17323, after Optimal Brain
Surgeon). Beforehand the weights are moved a little towards those that undo, as far as a linear layer can, the error
that the rounded layers before brought into the inputs: a ridge regression with a strong pull to the trained weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from convert.quantization.folding import FoldedLayer
from convert.quantization.network import Quantization

__all__ = ["MomentSums", "Moments", "round_weights"]

PULL: Final = 4.0
"""How hard the weights are held to the trained ones, in units of the inputs' mean variance."""
DAMPING: Final = 0.01
"""Added to the inputs' variances, in the same units: the more, the nearer to plain rounding."""
_LARGEST: Final = 127
_BLOCK: Final = 32
"""Inputs rounded before their errors are spread over all that follow."""
POSITIONS: Final = 1000
"""Positions that are looked at in all pictures together, at least, where there are as many."""
POSITIONS_OF_INPUT: Final = 8
"""The same for each input: the more inputs, the more positions their moments need."""
_GOLDEN: Final = 0.6180339887
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
    """Sums up :class:`Moments` batch by batch.

    Neighbouring positions tell much the same, so of large outputs a grid of positions is looked at, another one in
    each batch. The first batch's means are taken off all, or what varies little around a large mean would be lost.
    """

    def __init__(self, layer: FoldedLayer, quantization: Quantization, pictures: int) -> None:
        self._layer, self._quantization = layer, quantization
        groups, inputs = (len(layer.weight), 9) if layer.kind == "depthwise" else (1, layer.weight[0].numel())
        self._side = math.ceil(math.sqrt(max(POSITIONS, POSITIONS_OF_INPUT * inputs) / pictures))
        self._batches = self._count = 0
        self._offset: Tensor | None = None
        self._sum, self._error_sum = (torch.zeros(groups, inputs, dtype=torch.float64) for _ in range(2))
        self._square, self._error = (torch.zeros(groups, inputs, inputs) for _ in range(2))

    def add(self, levels: Tensor, real: Tensor) -> None:
        """Add some pictures' inputs, both (count, channels, height, width): in int8 levels, and as float has them."""
        zero_point = self._quantization.zero_point
        x = (self._windows(levels, zero_point) - zero_point) * self._quantization.scale
        error = self._windows(real, 0) - x
        if self._offset is None:
            self._offset = x.mean(dim=-1, keepdim=True)
        x -= self._offset
        self._batches += 1
        self._count += x.shape[-1]
        self._sum += x.sum(dim=-1)
        self._error_sum += error.sum(dim=-1)
        self._square.baddbmm_(x, x.transpose(1, 2))
        self._error.baddbmm_(error, x.transpose(1, 2))

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

    def _windows(self, x: Tensor, padding: int) -> Tensor:
        """What the filters see at this batch's positions: float (groups, inputs, positions)."""
        layer, kernel = self._layer, self._layer.weight.shape[-1]
        if any(layer.pads):
            x = functional.pad(x, layer.pads, value=padding)
        rows, columns = ((side - kernel) // layer.stride + 1 for side in x.shape[2:])
        every = max(1, rows // self._side)
        cell = int(self._batches * _GOLDEN % 1 * every * every)  # grids that lie evenly, however few the batches
        starts, step = [layer.stride * part for part in divmod(cell, every)], every * layer.stride
        ends = [layer.stride * (side - 1) + 1 for side in (rows, columns)]
        channels_last = x.permute(0, 2, 3, 1)
        taps = [
            channels_last[:, starts[0] + i : ends[0] + i : step, starts[1] + j : ends[1] + j : step].flatten(0, 2)
            for i in range(kernel)
            for j in range(kernel)
        ]
        inputs_first = torch.stack(taps).flatten(0, 1).t().contiguous()
        return inputs_first.view(*self._sum.shape, -1).float()


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
    rows = weight.view(groups, -1, inputs)
    held = torch.linalg.cholesky((moments.covariance + PULL * spread * eye).float())
    rows = rows + torch.cholesky_solve((rows @ moments.error.float()).transpose(1, 2), held).transpose(1, 2)
    levels = _round_rows(rows / scales.view(groups, -1, 1), moments.covariance + DAMPING * spread * eye)
    return levels.view_as(weight)


def _round_rows(rows: Tensor, covariance: Tensor) -> Tensor:
    """Round (groups, rows, inputs) by the covariance (groups, inputs, inputs), the most active inputs first."""
    order = torch.diagonal(covariance, dim1=1, dim2=2).sum(dim=0).argsort(descending=True, stable=True)
    covariance = covariance[:, order][:, :, order]
    backwards = torch.linalg.cholesky(covariance.flip(1, 2))
    eye = torch.eye(len(order), dtype=torch.float64)
    # The triangle whose transpose times itself is the inverse of the covariance.
    spread = torch.linalg.solve_triangular(backwards, eye, upper=False).flip(1, 2).float()
    columns = rows[:, :, order].transpose(1, 2).contiguous()
    levels = torch.empty_like(columns)
    for start in range(0, columns.shape[1], _BLOCK):
        end = min(start + _BLOCK, columns.shape[1])
        errors = torch.empty_like(columns[:, start:end])
        for n in range(start, end):
            levels[:, n] = columns[:, n].round().clamp_(-_LARGEST, _LARGEST)
            error = (columns[:, n] - levels[:, n]).div_(spread[:, n, n, None])
            columns[:, n + 1 : end].addcmul_(spread[:, n, n + 1 : end, None], error[:, None, :], value=-1)
            errors[:, n - start] = error
        columns[:, end:] -= spread[:, start:end, end:].transpose(1, 2) @ errors
    return levels[:, order.argsort()].transpose(1, 2).contiguous()
