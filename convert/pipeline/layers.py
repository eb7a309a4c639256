"""Where a quantized network loses what: every layer beside its float original, on real pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.quantization.calibration import batches
from convert.quantization.fake_quant import FakeQuantLayer
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing

__all__ = ["LayerReport", "NetworkReport", "examine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """What rounding does to one layer."""

    name: str
    weight_sqnr_db: float
    """Power of the weights over the power of their rounding, decibels."""
    output_sqnr_db: float
    """The same of the output after the activation, everything before being rounded too."""
    bias_shift: float
    """Mean magnitude of the channels' mean errors, as a part of the output's standard deviation."""
    dead_channels: int
    """Channels that none of the pictures made fire."""
    saturated: float
    """Share of output values at the top of their range, where larger ones are cut off."""
    alone_agreement: float
    """Share of pictures whose best class stays when this layer alone is rounded."""
    alone_divergence: float
    """Mean Kullback-Leibler divergence from float when this layer alone is rounded, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReport:
    """All layers in order, and the network as a whole."""

    layers: tuple[LayerReport, ...]
    agreement: float
    divergence: float
    pictures: int

    @property
    def costliest(self) -> LayerReport:
        """The layer whose rounding alone moves the answers most: by agreement, then by divergence."""
        return min(self.layers, key=lambda layer: (layer.alone_agreement, -layer.alone_divergence))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "costliest": self.costliest.name}


@torch.inference_mode()
def examine(
    layers: Sequence[FakeQuantLayer],
    pixels: NDArray[np.uint8],
    preprocessing: Preprocessing,
    progress: Progress = no_progress,
) -> NetworkReport:
    """Compare every layer with its float original.

    Args:
        layers: From :func:`convert.quantization.fake_quant.fake_quant_integers` or ``fake_quant_symmetric``.
        pixels: Pictures (count, ρ, ρ, 3), better others than those of the calibration.
        preprocessing: What the pixels stand for.
        progress: Called as the work goes on.
    """
    sums = [_Sums(layer) for layer in layers]
    whole = _Answers()
    for done, x in batches(pixels, preprocessing):
        steps = list(_steps(layers, x))
        wanted = steps[-1].exact.flatten(1)
        for position, (tally, step) in enumerate(zip(sums, steps, strict=True)):
            tally.add(step, wanted, _finish(layers, position, layers[position].run_alone(step.input)))
        whole.add(wanted, steps[-1].rounded.flatten(1))
        progress("comparing layers", done)
    return NetworkReport(
        layers=tuple(tally.report() for tally in sums),
        agreement=whole.agreement,
        divergence=whole.divergence,
        pictures=len(pixels),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One layer on one batch: its float input, and its output in float and in the rounded network."""

    input: Tensor
    exact: Tensor
    rounded: Tensor


def _steps(layers: Sequence[FakeQuantLayer], x: Tensor) -> Iterator[_Step]:
    rounded = x
    for layer in layers:
        if layer.exact.pools:
            x, rounded = (y.mean(dim=(2, 3), keepdim=True) for y in (x, rounded))
        step = _Step(x, layer.exact.activate(layer.exact.convolve(x)), layer.run(rounded))
        yield step
        x, rounded = step.exact, step.rounded


def _finish(layers: Sequence[FakeQuantLayer], position: int, x: Tensor) -> Tensor:
    """Logits from one layer's output, the layers behind it in float."""
    for layer in layers[position + 1 :]:
        if layer.exact.pools:
            x = x.mean(dim=(2, 3), keepdim=True)
        x = layer.exact.activate(layer.exact.convolve(x))
    return x.flatten(1)


class _Answers:
    """How often and by how much two sets of logits differ."""

    def __init__(self) -> None:
        self._same = self._count = 0
        self._divergence = 0.0

    def add(self, wanted: Tensor, found: Tensor) -> None:
        self._count += len(wanted)
        self._same += int((wanted.argmax(dim=1) == found.argmax(dim=1)).sum())
        p, q = wanted.log_softmax(dim=1), found.log_softmax(dim=1)
        self._divergence += (p.exp() * (p - q)).sum().item()

    @property
    def agreement(self) -> float:
        return self._same / self._count

    @property
    def divergence(self) -> float:
        return max(0.0, self._divergence / self._count)


class _Sums:
    """What is summed up of one layer over all batches."""

    def __init__(self, layer: FakeQuantLayer) -> None:
        self._layer, self._alone = layer, _Answers()
        self._signal = self._noise = 0.0
        self._error = torch.zeros_like(layer.bias, dtype=torch.float64)
        self._sum = self._count = 0.0
        self._highest = torch.full_like(layer.bias, -math.inf)
        self._saturated = 0

    def add(self, step: _Step, wanted: Tensor, alone: Tensor) -> None:
        error = step.rounded - step.exact
        self._signal += step.exact.square().sum().item()
        self._noise += error.square().sum().item()
        self._error += error.double().sum(dim=(0, 2, 3))
        self._sum += step.exact.sum().item()
        self._count += step.exact.numel()
        self._highest = torch.maximum(self._highest, step.exact.amax(dim=(0, 2, 3)))
        self._saturated += int((step.rounded >= self._top() - 1e-6).sum())
        self._alone.add(wanted, alone)

    def _top(self) -> float:
        grid, cap = self._layer.output_grid, self._layer.exact.cap
        top = grid.highest * grid.step + grid.offset if grid else math.inf
        return min(top, math.inf if cap is None else cap)

    def report(self) -> LayerReport:
        weight = self._layer.exact.weight
        mean = self._sum / self._count
        deviation = math.sqrt(max(self._signal / self._count - mean**2, 1e-12))
        per_channel = self._error / (self._count / len(self._error))
        return LayerReport(
            name=self._layer.exact.name,
            weight_sqnr_db=_decibels(weight.square().sum().item(), (self._layer.weight - weight).square().sum().item()),
            output_sqnr_db=_decibels(self._signal, self._noise),
            bias_shift=round(per_channel.abs().mean().item() / deviation, 6),
            dead_channels=int((self._highest <= 0).sum()) if self._layer.exact.cap is not None else 0,
            saturated=round(self._saturated / self._count, 6),
            alone_agreement=round(self._alone.agreement, 6),
            alone_divergence=round(self._alone.divergence, 8),
        )


def _decibels(signal: float, noise: float) -> float:
    """Power ratio in decibels; a network's exact layer has 150, which stands for no noise."""
    return round(min(150.0, 10 * math.log10(max(signal, 1e-30) / max(noise, 1e-30))), 2)
