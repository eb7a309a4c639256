"""Quantization for TensorRT, whose zero point is always 0: the same int8 weights, other activations.

A ReLU6 output over [0, 6] quantized with zero point 0 leaves half of the int8 levels unused. A 1x1 layer pads nothing,
so its input may be shifted exactly: the depthwise layer before it gives ``clip(x - c, -c, 6 - c)``, with ``-c`` in its
own bias and ``c`` times the sum of the weights in the bias after. Likewise before the classifier, through the pool.

Rounding saturates at -128 and 127 levels, which are the ends of that clip: so none is written before it, and a ReLU is
enough where the input is not shifted. Builders know convolution and ReLU before rounding best.

Two forms: ``mixed`` rounds only what goes into pointwise layers and the classifier, 95 % of the mult-adds, and leaves
the stem and the depthwise layers in half floats; ``full`` rounds the input of every layer, for DLAs and for GPUs on
which that is faster. Biases are corrected as :mod:`convert.quantization.quantizer` does: layer by layer, so that each
channel keeps the mean it has in float. The shifts fall out of the same equation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.complexity import LayerKind
from convert.errors import CalibrationError
from convert.quantization.calibration import FloatStatistics, batches, float_statistics
from convert.quantization.folding import FoldedLayer, FoldedNetwork
from convert.quantization.network import QuantizedLayer, QuantizedNetwork
from edge.bundles.variant import Variant
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing

__all__ = ["Form", "SymmetricLayer", "SymmetricNetwork", "symmetrize"]

Form = Literal["mixed", "full"]
_LOWEST: Final = -128
_HIGHEST: Final = 127
_NARROWEST: Final = 1e-3
"""The least range of a tensor, as of a layer that never fires."""
_POOL_HEADROOM: Final = 1.25
"""Few or unsure pictures reach 4.7 after the pool where others reach 6 (ImageNet checkpoint, ρ = 224)."""
_SHIFTED: Final[tuple[LayerKind, ...]] = ("pointwise", "hidden", "classifier")
"""Layers that pad nothing, so that their input may be shifted."""
_IN_INT8: Final[dict[Form, tuple[LayerKind, ...]]] = {
    "mixed": ("pointwise", "hidden", "classifier"),
    "full": ("conv", "depthwise", "pointwise", "hidden", "classifier"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymmetricLayer:
    """One convolution, in int8 or in float; all shifts are in the bias and the limits."""

    name: str
    kind: LayerKind
    weight: NDArray[np.int8] | NDArray[np.float32]
    """(out, in, height, width); (channels, 1, 3, 3) for a depthwise layer."""
    weight_scales: NDArray[np.float32] | None
    """(out,); None where the weights are float."""
    bias: NDArray[np.float32]
    """(out,)."""
    stride: int
    pads: tuple[int, int, int, int]
    """Zeros around the input: (left, right, top, bottom)."""
    shift: float
    """How much lower than in float the output is."""
    limits: tuple[float, float] | None
    """Where the activation ends below and above; None for none, or where rounding the output ends it there as well."""
    input_scale: float | None
    """The input's int8 step; None where the input is not rounded."""
    pools: bool = False
    """Whether the global average pool stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymmetricNetwork:
    """A network whose rounded activations have zero point 0."""

    variant: Variant
    classes: int
    form: Form
    layers: tuple[SymmetricLayer, ...]


@torch.inference_mode()
def symmetrize(
    network: FoldedNetwork,
    quantized: QuantizedNetwork,
    pixels: NDArray[np.uint8],
    form: Form = "mixed",
    progress: Progress = no_progress,
) -> SymmetricNetwork:
    """Quantize the activations of ``network`` around zero, with the int8 weights of ``quantized``.

    Args:
        network: Batch norm folded.
        quantized: The same network in integers.
        pixels: Calibration pictures (count, ρ, ρ, 3), as ``quantized`` was calibrated on.
        form: Which layers work in int8.
        progress: Called as the work goes on.

    Raises:
        CalibrationError: There is no picture.
    """
    if not len(pixels):
        raise CalibrationError("There are no calibration pictures: expected at least one.")
    recipe = quantized.preprocessing
    statistics = float_statistics(network, pixels, recipe, lambda s: progress("float ranges", s / 3))
    current = _Activations([x.half() for _, x in batches(pixels, recipe)], _largest(pixels, recipe))
    layers: list[SymmetricLayer] = []
    for index, (layer, integers) in enumerate(zip(network.layers, quantized.layers, strict=True)):
        progress(layer.name, (1 + 2 * index / len(network.layers)) / 3)
        made, current = _layer(
            layer,
            integers,
            statistics[index],
            current,
            form=form,
            feeds=network.layers[index + 1] if index + 1 < len(network.layers) else None,
        )
        layers.append(made)
    progress("done", 1.0)
    return SymmetricNetwork(variant=quantized.variant, classes=network.classes, form=form, layers=tuple(layers))


@dataclass(frozen=True, slots=True)
class _Activations:
    """What flows from layer to layer, in half floats as on the GPU, and its largest magnitude."""

    batches: list[Tensor]
    """A layer's outputs take the place of its inputs, batch by batch: that halves the memory."""
    largest: float

    @property
    def scale(self) -> float:
        return float(np.float32(max(self.largest, _NARROWEST) / _HIGHEST))

    def rounded(self, x: Tensor) -> Tensor:
        """A batch as int8 holds it, in float32."""
        scale = self.scale
        levels = (x.float() / scale).round_().clamp_(_LOWEST, _HIGHEST)
        return levels.mul_(scale).half().float()


def _largest(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> float:
    """The largest input that a pixel can become: the pictures at hand need not hold black and white."""
    return float(np.abs(preprocessing.real(np.array([[0], [255]], np.uint8))).max())


def _layer(
    layer: FoldedLayer,
    integers: QuantizedLayer,
    statistics: FloatStatistics,
    current: _Activations,
    *,
    form: Form,
    feeds: FoldedLayer | None,
) -> tuple[SymmetricLayer, _Activations]:
    """The layer, and its output for the input ``current``; ``feeds`` is the layer that takes it."""
    is_int8 = layer.kind in _IN_INT8[form]
    weight, real = _weights(layer, integers, is_int8)
    means = _replaced_by_sums(current, layer, real, is_int8=is_int8)
    bias = (statistics.mean - means).float()[:, None, None]
    largest = statistics.high if layer.cap is not None else max(statistics.high, -statistics.low)
    outputs, shift = current.batches, 0.0
    if feeds is not None and feeds.pools:  # the pool comes at once: what it gives is rounded, not what it takes
        outputs = [layer.activate_(y.float().add_(bias)).mean(dim=(2, 3), keepdim=True) for y in outputs]
        largest = min(statistics.high, _POOL_HEADROOM * max(y.max().item() for y in outputs))
    if feeds is not None and feeds.kind in _SHIFTED and layer.cap is not None:
        shift = largest * _LOWEST / (_LOWEST - _HIGHEST)  # zero is the lowest level
    for number, y in enumerate(outputs):
        out = y if feeds is not None and feeds.pools else layer.activate_(y.float().add_(bias))
        outputs[number] = (out - shift).half()
    made = SymmetricLayer(
        name=layer.name,
        kind=layer.kind,
        weight=weight,
        weight_scales=integers.weight_scales if is_int8 else None,
        bias=bias.flatten().numpy() - np.float32(shift),
        stride=layer.stride,
        pads=layer.pads,
        shift=shift,
        limits=_limits(layer, shift, is_rounded=feeds is not None and not feeds.pools and feeds.kind in _IN_INT8[form]),
        input_scale=current.scale if is_int8 else None,
        pools=layer.pools,
    )
    return made, _Activations(outputs, largest - shift)


def _limits(layer: FoldedLayer, shift: float, *, is_rounded: bool) -> tuple[float, float] | None:
    """Where the activation must end; ``is_rounded`` tells that its output is rounded at once, which ends it too."""
    if layer.cap is None or (is_rounded and shift):
        return None
    return (0.0, math.inf) if is_rounded else (-shift, layer.cap - shift)


def _replaced_by_sums(current: _Activations, layer: FoldedLayer, weight: Tensor, *, is_int8: bool) -> Tensor:
    """Put what the layer sums up, without a bias, in place of its inputs; return each channel's mean, (out,)."""
    nothing, count = torch.zeros_like(layer.bias), 0
    total = nothing.double()
    for number, x in enumerate(current.batches):
        y = layer.convolve(current.rounded(x) if is_int8 else x.float(), weight, nothing)
        total += y.sum(dim=(2, 3)).double().sum(dim=0)
        count += y.numel() // y.shape[1]
        current.batches[number] = y.half()
    return total / count


def _weights(
    layer: FoldedLayer, integers: QuantizedLayer, is_int8: bool
) -> tuple[NDArray[np.int8] | NDArray[np.float32], Tensor]:
    """The weights as they are kept, and the reals that they stand for."""
    if not is_int8:
        real = layer.weight.half().float()
        return real.numpy(), real
    scales = torch.from_numpy(integers.weight_scales)[:, None, None, None]
    return integers.weight, torch.from_numpy(integers.weight).float() * scales
