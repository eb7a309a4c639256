"""The float network that is quantized and compared with: batch norm folded into the convolution before it.

Into the stem goes the deviation that pixels are divided by, as well: a folded network takes ``(pixel - mean) / 127.5``
whatever the checkpoint was trained on. Zero stays zero, so the padding stays right, and it has finer int8 steps than
pixels divided by three different numbers. The mean cannot go there: around the picture, where zeros are
padded, stands the mean, not black. So the mean stays with the preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from convert.complexity import LayerKind
from convert.model import HALF_RANGE, Activation, ConvUnit, MobileNetV1, ModelConfig
from edge.vision.preprocess import Preprocessing

__all__ = ["FoldedLayer", "FoldedNetwork", "fold", "folded_recipe", "padded_conv2d"]

_CAPS: Final[dict[Activation, float]] = {"relu6": 6.0, "relu": float("inf")}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedLayer:
    """One convolution with its bias and activation, float32."""

    name: str
    """``stem``, ``block3/depthwise``, ``block3/pointwise``, ``head``, ``hidden1``, ``classifier``."""
    kind: LayerKind
    weight: Tensor
    """(out, in, height, width); (channels, 1, 3, 3) for a depthwise layer; 1x1 for fully connected ones."""
    bias: Tensor
    """(out,)."""
    stride: int
    pads: tuple[int, int, int, int]
    """Zeros around the input: (left, right, top, bottom)."""
    cap: float | None
    """The activation's upper limit: 6 for ReLU6, infinity for ReLU, None for none."""
    pools: bool = False
    """Whether the global average pool stands before it."""

    def convolve(self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Output before the activation, of this layer's weights or of others in their place."""
        weight, bias = self.weight if weight is None else weight, self.bias if bias is None else bias
        return padded_conv2d(
            x, weight, bias, self.stride, self.pads, weight.shape[0] if self.kind == "depthwise" else 1
        )

    def activate(self, y: Tensor) -> Tensor:
        """Apply the activation."""
        return y if self.cap is None else y.clamp(0, self.cap)

    def activate_(self, y: Tensor) -> Tensor:
        """Apply the activation in place."""
        return y if self.cap is None else y.clamp_(0, self.cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedNetwork:
    """All layers in order; the global average pool stands before the first that is fully connected."""

    layers: tuple[FoldedLayer, ...]
    alpha: float
    classes: int

    def divided(self, temperature: float) -> FoldedNetwork:
        """The network whose logits are divided by ``temperature``."""
        *others, last = self.layers
        weight, bias = last.weight / temperature, last.bias / temperature
        return replace(self, layers=(*others, replace(last, weight=weight, bias=bias)))

    def trace(self, x: Tensor) -> Iterator[tuple[FoldedLayer, Tensor, Tensor]]:
        """Run normalized pictures (batch, 3, ρ, ρ); yield each layer, its input and its output before activation."""
        for layer in self.layers:
            if layer.pools:
                x = x.mean(dim=(2, 3), keepdim=True)
            y = layer.convolve(x)
            yield layer, x, y
            x = layer.activate(y)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3, ρ, ρ)."""
        for _, _, y in self.trace(x):
            last = y
        return last.flatten(1)


def padded_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pads: tuple[int, int, int, int], groups: int
) -> Tensor:
    """A convolution with zeros around its input: (left, right, top, bottom); without a copy where all are alike."""
    is_even = len(set(pads)) == 1
    if not is_even:
        x = functional.pad(x, pads)
    return functional.conv2d(x, weight, bias, stride, padding=pads[0] if is_even else 0, groups=groups)


def fold(model: MobileNetV1) -> FoldedNetwork:
    """Fold every batch norm and the pixels' deviation, in double precision.

    The network takes pictures as :func:`folded_recipe` prepares them.
    """
    cap = _CAPS[model.config.activation]
    stem = _fold_unit("stem", "conv", model.stem, cap)
    gain = torch.tensor(HALF_RANGE[: model.config.channels]).double() / torch.tensor(model.config.std).double()
    layers = [replace(stem, weight=(stem.weight.double() * gain[:, None, None]).float())]
    for index, block in enumerate(model.blocks.children(), start=1):
        depthwise, pointwise = block.children()
        assert isinstance(depthwise, ConvUnit) and isinstance(pointwise, ConvUnit)
        layers.append(_fold_unit(f"block{index}/depthwise", "depthwise", depthwise, cap))
        layers.append(_fold_unit(f"block{index}/pointwise", "pointwise", pointwise, cap))
    if isinstance(model.head, ConvUnit):
        layers.append(_fold_unit("head", "pointwise", model.head, cap))
    for number, (block, (_, activation)) in enumerate(zip(model.hidden, model.config.hidden, strict=True), start=1):
        (linear, _) = block.children()
        layers.append(_fully_connected(f"hidden{number}", "hidden", linear, _CAPS[activation], pools=number == 1))
    layers.append(_fully_connected("classifier", "classifier", model.classifier, None, pools=not model.config.hidden))
    return FoldedNetwork(layers=tuple(layers), alpha=model.config.alpha, classes=model.config.classes)


def folded_recipe(config: ModelConfig, preprocessing: Preprocessing | None = None) -> Preprocessing:
    """``preprocessing``, or the default one, with the pixels that the folded network of ``config`` takes."""
    recipe = preprocessing or Preprocessing()
    return replace(recipe, colour_order=config.colour_order, mean=config.mean, std=HALF_RANGE[: config.channels])


def _fully_connected(name: str, kind: LayerKind, linear: nn.Module, cap: float | None, *, pools: bool) -> FoldedLayer:
    assert isinstance(linear, nn.Linear)
    weight, bias = linear.weight.detach()[:, :, None, None].clone(), linear.bias.detach().clone()
    return FoldedLayer(
        name=name, kind=kind, weight=weight, bias=bias, stride=1, pads=(0, 0, 0, 0), cap=cap, pools=pools
    )


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
