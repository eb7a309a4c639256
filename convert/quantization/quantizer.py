"""Post-training quantization of a folded network, calibrated on pictures without labels.

Layer by layer, in order, each on inputs that are already quantized:

1. Symmetric weights, one scale a channel, rounded by what the inputs' covariance says (:mod:`.gptq`).
2. The bias puts each channel's mean back to what it was in float (empirical bias correction, section 4.2 of
   arXiv 1906.04721).
3. Activations asymmetric, one scale a tensor, over the range seen in float. Only the logits' range is another: it ends
   where the network's most confident answers lie (:func:`highest_logit`), and the lowest logits are cut, as they say
   nothing and a narrower range has finer steps.

The network should be equalized first (:mod:`.equalization`). Few pictures are calibrated on together with other views
of them (:mod:`.augmentation`): rounding that follows few pictures too closely is worse on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.errors import CalibrationError
from convert.quantization.augmentation import with_views
from convert.quantization.calibration import BATCH, batches
from convert.quantization.folding import FoldedLayer, FoldedNetwork
from convert.quantization.gptq import Moments, MomentSums, round_weights
from convert.quantization.network import Quantization, QuantizedLayer, QuantizedNetwork
from edge.bundles.variant import Variant
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = ["highest_logit", "quantize"]

ENOUGH: Final = 128
"""Pictures and views to calibrate on: with 8 photos and 120 views of them the divergence is 15 to 30 % lower than with
the 8 alone; with 116 photos more views change less than another split of the photos does."""
MOST_VIEWS: Final = 15
"""Of one picture."""
LOGIT_FLOORS: Final = (1.0, 0.75, 0.5, 0.25)
"""What may be kept of the logits' range below zero."""
LOGIT_DEVIATIONS: Final = 10.5
"""Where a network is most sure, in standard deviations of its logits. Those of the ImageNet checkpoint reach 10.2, 10.1
and 10.9 on photos at ρ = 224, 160 and 128, whatever pictures the deviation is taken from: few, unsure or ordinary
ones."""
LOGIT_DEVIATIONS_SYNTHETIC: Final = 12.0
"""The same where the pictures are synthetic: they excite the network less."""
MOST_HELD: Final = 200_000_000
"""Bytes of one layer's outputs that are held; larger ones are computed again, so that a gigabyte is enough."""
_BYTES: Final = 3
"""Of each value: an int8 and a float16."""
_LARGEST_BIAS: Final = 2**30
"""Half of int32, so that the sum over a window cannot overflow either."""


@dataclass(slots=True)
class _Flow:
    """What flows between two layers: the same pictures as int8 levels and as float has them.

    A batch's output takes the place of its input, unless all outputs together are large: then the layer stays
    ``pending``, and is run again by each layer until one has smaller outputs.
    """

    quantization: Quantization
    levels: list[Tensor]
    """int8 (up to BATCH, channels, height, width), before the pending layers."""
    real: list[Tensor]
    """float16, to halve the memory; the logits are float32."""
    pending: list[tuple[FoldedLayer, QuantizedLayer]] = field(default_factory=list)

    def pool(self) -> None:
        """Run the global average pool, which rounds to the steps of its input."""
        inputs = [[x.float().mean(dim=(2, 3), keepdim=True) for x in both] for both in self._inputs()]
        self.levels, self.real = [x.round().to(torch.int8) for x, _ in inputs], [x.half() for _, x in inputs]
        self.pending = []

    def run(self, layer: FoldedLayer, quantize: Callable[[Moments, float, float], QuantizedLayer]) -> QuantizedLayer:
        """Run ``layer`` in float, and in the integers that ``quantize`` makes of its inputs' moments and its range."""
        sums = MomentSums(layer, self.quantization, pictures=sum(map(len, self.levels)))
        low, high, is_held = 0.0, 0.0, True
        for number, (levels, real) in enumerate(self._inputs()):
            sums.add(levels, real)
            out = layer.activate_(layer.convolve(real.float()))
            if layer.cap is None:
                low = min(low, out.min().item())
            if layer.cap is None or high < layer.cap:
                high = max(high, out.max().item())
            if number == 0:
                is_held = out.shape[-1] == 1 or len(self.levels) * out.numel() * _BYTES <= MOST_HELD
            if is_held:
                self.real[number] = out if layer.cap is None else out.half()
        quantized = quantize(sums.moments(), low, high)
        self.pending.append((layer, quantized))
        if is_held:
            for number, levels in enumerate(self.levels):
                for _, integers in self.pending:
                    levels = integers.run(levels)
                self.levels[number] = levels
            self.pending = []
        self.quantization = quantized.output
        return quantized

    def _inputs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch as the next layer takes it."""
        for levels, real in zip(self.levels, self.real, strict=True):
            for layer, integers in self.pending:
                levels, real = integers.run(levels), layer.activate_(layer.convolve(real.float())).half()
            yield levels, real


@torch.inference_mode()
def quantize(
    network: FoldedNetwork,
    pixels: NDArray[np.uint8],
    preprocessing: Preprocessing,
    *,
    are_synthetic: bool = False,
    progress: Progress = no_progress,
) -> QuantizedNetwork:
    """Quantize ``network`` for the resolution of ``pixels``. The same inputs give the same integers.

    Args:
        network: Batch norm folded, and equalized.
        pixels: Calibration pictures (count, ρ, ρ, 3) in the network's colour order, from ``Preprocessor.pixels``.
        preprocessing: Fixes what the pixels stand for, and so the input's range.
        are_synthetic: Whether the pictures are drawn ones, for want of photos.
        progress: Called as the work goes on.

    Raises:
        CalibrationError: There is no picture.
    """
    if not len(pixels):
        raise CalibrationError("There are no calibration pictures: expected at least one.")
    pixels = with_views(pixels, min(MOST_VIEWS, max(0, ENOUGH // len(pixels) - 1)))
    flow, layers = _first_flow(pixels, preprocessing), []
    for index, layer in enumerate(network.layers):
        progress(layer.name, index / len(network.layers))
        if layer.pools:
            flow.pool()
        if layer.kind == "classifier":
            deviations = LOGIT_DEVIATIONS_SYNTHETIC if are_synthetic else LOGIT_DEVIATIONS
            layers.append(flow.run(layer, partial(_quantize_classifier, layer, flow, deviations)))
        else:
            layers.append(flow.run(layer, partial(_quantize_layer, layer, flow.quantization)))
    progress("done", 1.0)
    return QuantizedNetwork(
        variant=Variant(network.alpha, pixels.shape[1]),
        classes=network.classes,
        preprocessing=preprocessing,
        layers=tuple(layers),
    )


def _first_flow(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> _Flow:
    quantization = _input_quantization(preprocessing)
    levels = torch.split(_quantized_input(pixels, preprocessing, quantization), BATCH)
    return _Flow(quantization, list(levels), [x.half() for _, x in batches(pixels, preprocessing)])


def _input_quantization(preprocessing: Preprocessing) -> Quantization:
    """All that 0 to 255 can become: the pictures at hand need not hold black and white."""
    edges = preprocessing.real(np.array([[0], [255]], np.uint8))
    low, high = float(edges.min()), float(edges.max())
    scale = (high - low) / 255
    return Quantization(scale, int(np.floor(-128 - low / scale)))


def _quantized_input(pixels: NDArray[np.uint8], preprocessing: Preprocessing, quantization: Quantization) -> Tensor:
    """The pictures as the device's preprocessor writes them: int8 (count, 3, ρ, ρ)."""
    spec = TensorSpec(
        shape=(1, *pixels.shape[1:]), dtype="int8", scale=quantization.scale, zero_point=quantization.zero_point
    )
    preprocessor, levels = Preprocessor(preprocessing, spec), np.empty(pixels.shape, np.int8)
    for picture, tensor in zip(pixels, levels, strict=True):
        preprocessor.normalize(picture, tensor[None])
    return torch.from_numpy(levels).permute(0, 3, 1, 2)


def _quantize_layer(
    layer: FoldedLayer, inputs: Quantization, moments: Moments, low: float, high: float
) -> QuantizedLayer:
    scales = _weight_scales(layer, inputs)
    weight = round_weights(layer.weight, scales, moments)
    bias = _corrected_bias(layer, weight, scales, moments, inputs)
    return QuantizedLayer(
        name=layer.name,
        kind=layer.kind,
        weight=weight.to(torch.int8).numpy(),
        weight_scales=scales.numpy(),
        bias=bias.to(torch.int32).numpy(),
        stride=layer.stride,
        pads=layer.pads,
        cap=layer.cap,
        input=inputs,
        output=Quantization.of_range(low, high),
        pools=layer.pools,
    )


def highest_logit(logits: Tensor, deviations: float = LOGIT_DEVIATIONS) -> float:
    """Where the logits of the most confident answers lie, estimated from any pictures' float logits (count, classes).

    The largest logit seen says little: where no picture is one that the network is sure of, confident answers clip and
    tie. How far logits spread around each picture's mean is a property of the network. The estimate is never below the
    largest logit seen, and never above what one of the classes can reach: with standard deviation σ over C classes
    no logit lies further than σ √(C - 1) from the mean (Samuelson's inequality, 1968).
    """
    means = logits.mean(dim=1, keepdim=True)
    deviation = (logits - means).square().mean().sqrt().item()
    reach = min(deviations, math.sqrt(logits.shape[1] - 1))
    return max(logits.max().item(), means.mean().item() + reach * deviation)


def _quantize_classifier(
    layer: FoldedLayer, flow: _Flow, deviations: float, moments: Moments, low: float, high: float
) -> QuantizedLayer:
    """The classifier with the range of logits whose probabilities are nearest to float's, which are in ``flow``."""
    quantized = _quantize_layer(layer, flow.quantization, moments, low, high)
    logits = torch.cat(flow.real).flatten(1)
    wanted, high = logits.log_softmax(dim=1), highest_logit(logits, deviations)

    def divergence(way: QuantizedLayer) -> float:
        levels = torch.cat([way.run(x) for x in flow.levels]).flatten(1)
        found = ((levels.float() - way.output.zero_point) * way.output.scale).log_softmax(dim=1)
        return (wanted.exp() * (wanted - found)).sum(dim=1).mean().item()

    ranges = (Quantization.of_range(floor * low, high) for floor in LOGIT_FLOORS)
    return min((replace(quantized, output=output) for output in ranges), key=divergence)


def _corrected_bias(
    layer: FoldedLayer, weight: Tensor, scales: Tensor, moments: Moments, quantization: Quantization
) -> Tensor:
    """The bias in its integer steps that gives each channel the mean it has in float."""
    rounded = weight.double() * scales.double()[:, None, None, None]
    means = (
        (rows.view(len(moments.mean), -1, moments.mean.shape[1]) @ mean[:, :, None]).flatten()
        for rows, mean in ((layer.weight.double(), moments.real_mean), (rounded, moments.mean))
    )
    wanted, found = means
    unit = quantization.scale * scales.double()
    return ((layer.bias.double() + wanted - found) / unit).round().clamp(-_LARGEST_BIAS, _LARGEST_BIAS)


def _weight_scales(layer: FoldedLayer, input_quantization: Quantization) -> Tensor:
    """One scale a channel, the finest that loses no weight and keeps the bias within int32.

    Channels that died in training fold to weights of 1e-10; at that scale their bias would overflow.
    """
    finest = layer.weight.abs().amax(dim=(1, 2, 3)) / 127
    floor = layer.bias.abs() * 1.1 / (input_quantization.scale * _LARGEST_BIAS)
    return torch.maximum(torch.maximum(finest, floor), torch.tensor(1e-9)).float()
