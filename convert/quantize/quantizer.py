"""Post-training quantization of a folded network, calibrated on pictures without labels.

Symmetric per-channel weights; activations asymmetric per tensor over the range seen; biases corrected layer by layer,
in order, so that each channel's mean over the calibration pictures is what it was in float although everything before
it is already quantized (empirical bias correction, section 4.2 of arXiv 1906.04721). The rounding of the weights
shifts those means, and that shift, not the noise, is most of what int8 costs a MobileNet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.quantize.calibration import BATCH, FloatStatistics, channel_mean, float_statistics
from convert.quantize.folding import FoldedLayer, FoldedNetwork
from convert.quantize.network import Quantization, QuantizedLayer, QuantizedNetwork
from edge.errors import CalibrationError
from edge.preprocess import Preprocessing, Preprocessor
from edge.tensor import TensorSpec
from edge.variant import Variant

__all__ = ["quantize"]

_LARGEST_BIAS: Final = 2**30
"""Half of int32, so that the sum over a window cannot overflow either."""

Progress = Callable[[str, float], None]
"""Told the layer at work and the share done, 0 to 1."""


@torch.inference_mode()
def quantize(
    network: FoldedNetwork,
    pixels: NDArray[np.uint8],
    preprocessing: Preprocessing,
    progress: Progress = lambda layer, share: None,
) -> QuantizedNetwork:
    """Quantize ``network`` for the resolution of ``pixels``.

    Args:
        network: Batch norm folded.
        pixels: Calibration pictures (count, ρ, ρ, 3) in the network's colour order, from ``Preprocessor.pixels``.
        preprocessing: Fixes what the pixels stand for, and so the input's range.
        progress: Called as the work goes on.

    Raises:
        CalibrationError: There is no picture.
    """
    if not len(pixels):
        raise CalibrationError("There are no calibration pictures: expected at least one.")
    statistics = float_statistics(network, pixels, preprocessing, lambda s: progress("float ranges", s / 3))
    input_quantization = _input_quantization(preprocessing)
    current = _quantized_input(pixels, preprocessing, input_quantization)
    layers: list[QuantizedLayer] = []
    for index, layer in enumerate(network.layers):
        progress(layer.name, (1 + 2 * index / len(network.layers)) / 3)
        if layer.kind == "classifier":
            current = _pool(current)
        quantized, current = _quantize_layer(layer, statistics[index], current, input_quantization)
        input_quantization = quantized.output
        layers.append(quantized)
    progress("done", 1.0)
    return QuantizedNetwork(
        variant=Variant(network.alpha, pixels.shape[1]),
        classes=network.classes,
        preprocessing=preprocessing,
        layers=tuple(layers),
    )


def _input_quantization(preprocessing: Preprocessing) -> Quantization:
    """All that 0 to 255 can become: the pictures at hand need not hold black and white."""
    edges = preprocessing.real(np.array([[0] * 3, [255] * 3], np.uint8))
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
    return torch.from_numpy(levels).permute(0, 3, 1, 2).contiguous()


def _quantize_layer(
    layer: FoldedLayer, statistics: FloatStatistics, current: Tensor, input_quantization: Quantization
) -> tuple[QuantizedLayer, Tensor]:
    """The layer in integers, and its int8 output for the int8 input ``current``."""
    scales = _weight_scales(layer, input_quantization)
    weight = (layer.weight / scales[:, None, None, None]).round().clamp(-127, 127)
    sums = [_sums(layer, weight, batch, input_quantization) for batch in torch.split(current, BATCH)]
    unit = input_quantization.scale * scales.double()
    missing = statistics.mean.double() - channel_mean(sums) * unit
    bias = (missing / unit).round().clamp(-_LARGEST_BIAS, _LARGEST_BIAS)
    quantized = QuantizedLayer(
        name=layer.name,
        kind=layer.kind,
        weight=weight.to(torch.int8).numpy(),
        weight_scales=scales.numpy(),
        bias=bias.to(torch.int32).numpy(),
        stride=layer.stride,
        pads=layer.pads,
        cap=layer.cap,
        input=input_quantization,
        output=Quantization.of_range(statistics.low, statistics.high),
    )
    return quantized, torch.cat([_requantize(y, quantized, bias, unit) for y in sums])


def _weight_scales(layer: FoldedLayer, input_quantization: Quantization) -> Tensor:
    """One scale a channel, the finest that loses no weight and keeps the bias within int32.

    Channels that died in training fold to weights of 1e-10; at that scale their bias would overflow.
    """
    finest = layer.weight.abs().amax(dim=(1, 2, 3)) / 127
    floor = layer.bias.abs() * 1.1 / (input_quantization.scale * _LARGEST_BIAS)
    return torch.maximum(torch.maximum(finest, floor), torch.tensor(1e-9)).float()


def _sums(layer: FoldedLayer, weight: Tensor, batch: Tensor, quantization: Quantization) -> Tensor:
    """The integer sums without bias, in float32, which rounds those beyond 2^24 by less than 1e-7 of them."""
    return layer.convolve(batch.float() - quantization.zero_point, weight, torch.zeros(len(weight)))


def _requantize(sums: Tensor, layer: QuantizedLayer, bias: Tensor, unit: Tensor) -> Tensor:
    """Add the bias, apply the activation and round to the output's int8 steps."""
    out = layer.output
    gain, shift = (unit / out.scale).float(), (bias * unit / out.scale + out.zero_point).float()
    levels = sums * gain[:, None, None] + shift[:, None, None]
    low = -128 if layer.cap is None else max(-128, out.zero_point)
    high = 127 if layer.cap is None else min(127.0, out.zero_point + layer.cap / out.scale)
    return levels.round_().clamp_(low, round(high)).to(torch.int8)


def _pool(current: Tensor) -> Tensor:
    """Global average, rounded to the input's own steps."""
    return current.float().mean(dim=(2, 3), keepdim=True).round().to(torch.int8)
