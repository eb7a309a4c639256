"""The float network that is quantized and compared with: batch norm folded into the convolution before it.

Into the stem goes the deviation that pixels are divided by, as well: a folded network takes ``(pixel - mean) / 127.5``
whatever the checkpoint was trained on. Zero stays zero, so the padding stays right, and it has finer int8 steps than
pixels divided by three different numbers. The mean cannot go there: around the picture, where zeros are
padded, stands the mean, not black. So the mean stays with the preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from convert.complexity import LayerKind
from convert.model import HALF_RANGE, ConvUnit, MobileNetV1, ModelConfig
from edge.vision.preprocess import Preprocessing

__all__ = ["FoldedLayer", "FoldedNetwork", "fold", "folded_recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedLayer:
    """One convolution with its bias and activation, float32."""

    name: str
    """``stem``, ``block3/depthwise``, ``block3/pointwise``, ``head``, ``classifier``."""
    kind: LayerKind
    weight: Tensor
    """(out, in, height, width); (channels, 1, 3, 3) for a depthwise layer; 1x1 for the classifier."""
    bias: Tensor
    """(out,)."""
    stride: int
    pads: tuple[int, int, int, int]
    """Zeros around the input: (left, right, top, bottom)."""
    cap: float | None
    """The activation's upper limit: 6 for ReLU6, infinity for ReLU, None for none."""

    def convolve(self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Output before the activation, of this layer's weights or of others in their place."""
        weight, bias = self.weight if weight is None else weight, self.bias if bias is None else bias
        if any(self.pads):
            x = functional.pad(x, self.pads)
        groups = weight.shape[0] if self.kind == "depthwise" else 1
        return functional.conv2d(x, weight, bias, self.stride, groups=groups)

    def activate(self, y: Tensor) -> Tensor:
        """Apply the activation."""
        return y if self.cap is None else y.clamp(0, self.cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedNetwork:
    """All layers in order; the global average pool stands before the last one."""

    layers: tuple[FoldedLayer, ...]
    alpha: float
    classes: int

    def trace(self, x: Tensor) -> Iterator[tuple[FoldedLayer, Tensor, Tensor]]:
        """Run normalized pictures (batch, 3, ρ, ρ); yield each layer, its input and its output before activation."""
        for layer in self.layers:
            if layer.kind == "classifier":
                x = x.mean(dim=(2, 3), keepdim=True)
            y = layer.convolve(x)
            yield layer, x, y
            x = layer.activate(y)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3, ρ, ρ)."""
        for _, _, y in self.trace(x):
            last = y
        return last.flatten(1)


def fold(model: MobileNetV1) -> FoldedNetwork:
    """Fold every batch norm and the pixels' deviation, in double precision.

    The network takes pictures as :func:`folded_recipe` prepares them.
    """
    cap = 6.0 if model.config.activation == "relu6" else float("inf")
    stem = _fold_unit("stem", "conv", model.stem, cap)
    gain = torch.tensor(HALF_RANGE).double() / torch.tensor(model.config.std).double()
    layers = [replace(stem, weight=(stem.weight.double() * gain[:, None, None]).float())]
    for index, block in enumerate(model.blocks.children(), start=1):
        depthwise, pointwise = block.children()
        assert isinstance(depthwise, ConvUnit) and isinstance(pointwise, ConvUnit)
        layers.append(_fold_unit(f"block{index}/depthwise", "depthwise", depthwise, cap))
        layers.append(_fold_unit(f"block{index}/pointwise", "pointwise", pointwise, cap))
    if isinstance(model.head, ConvUnit):
        layers.append(_fold_unit("head", "pointwise", model.head, cap))
    layers.append(
        FoldedLayer(
            name="classifier",
            kind="classifier",
            weight=model.classifier.weight.detach()[:, :, None, None].clone(),
            bias=model.classifier.bias.detach().clone(),
            stride=1,
            pads=(0, 0, 0, 0),
            cap=None,
        )
    )
    return FoldedNetwork(layers=tuple(layers), alpha=model.config.alpha, classes=model.config.classes)


def folded_recipe(config: ModelConfig, preprocessing: Preprocessing | None = None) -> Preprocessing:
    """``preprocessing``, or the default one, with the pixels that the folded network of ``config`` takes."""
    recipe = preprocessing or Preprocessing()
    return replace(recipe, colour_order=config.colour_order, mean=config.mean, std=HALF_RANGE)


def _fold_unit(name: str, kind: LayerKind, unit: ConvUnit, cap: float) -> FoldedLayer:
    bn = unit.bn
    assert bn.running_mean is not None and bn.running_var is not None
    gain = bn.weight.detach().double() / torch.sqrt(bn.running_var.double() + bn.eps)
    weight = unit.conv.weight.detach().double() * gain[:, None, None, None]
    bias = bn.bias.detach().double() - bn.running_mean.double() * gain
    return FoldedLayer(
        name=name,
        kind=kind,
        weight=weight.float(),
        bias=bias.float(),
        stride=unit.conv.stride[0],
        pads=unit.pads,
        cap=cap,
    )
