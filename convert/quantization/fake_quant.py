"""A quantized layer seen from float: the same layer on real numbers, with what is rounded rounded.

The int8 network and the symmetric one differ in where they round and in what they shift. Seen from float both are
layers whose weights, inputs or outputs lie on a grid, so one examination serves both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from convert.quantization.folding import FoldedLayer, FoldedNetwork
from convert.quantization.network import Quantization, QuantizedNetwork
from convert.quantization.qdq import SymmetricNetwork
from edge.vision.preprocess import HALF_UP

__all__ = ["FakeQuantLayer", "Grid", "fake_quant_integers", "fake_quant_symmetric"]


@dataclass(frozen=True, slots=True)
class Grid:
    """Evenly spaced reals ``offset + step * n``, n from ``lowest`` to ``highest``."""

    step: float
    offset: float
    lowest: int
    highest: int
    takes_pixels: bool = False
    """Values halfway go up, as on the device's way in, where with the usual normalization every pixel lies halfway;
    else to the even neighbour."""

    @classmethod
    def of(cls, quantization: Quantization, *, takes_pixels: bool = False) -> Grid:
        """The reals that int8 stands for."""
        lowest, highest = -128 - quantization.zero_point, 127 - quantization.zero_point
        return cls(quantization.scale, 0.0, lowest, highest, takes_pixels)

    def round(self, x: Tensor) -> Tensor:
        """The nearest point for each value."""
        levels = (x - self.offset) / self.step
        levels = (levels + HALF_UP).floor() if self.takes_pixels else levels.round()
        return levels.clamp(self.lowest, self.highest) * self.step + self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeQuantLayer:
    """One layer as it was in float, and what became of it."""

    exact: FoldedLayer
    weight: Tensor
    """What the rounded weights stand for."""
    bias: Tensor
    input_grid: Grid | None
    output_grid: Grid | None

    def run(self, x: Tensor) -> Tensor:
        """The output after the activation (batch, out, height, width) for real inputs."""
        return self._rounded(self.exact.convolve(self._input(x), self.weight, self.bias))

    def run_alone(self, x: Tensor) -> Tensor:
        """The output if nothing before this layer were rounded: its own bias error taken off, channel by channel."""
        y = self.exact.convolve(x)
        error = self.exact.convolve(self._input(x), self.weight, self.exact.bias) - y
        return self._rounded(y + error - error.mean(dim=(0, 2, 3), keepdim=True))

    def _input(self, x: Tensor) -> Tensor:
        return self.input_grid.round(x) if self.input_grid else x

    def _rounded(self, y: Tensor) -> Tensor:
        y = self.exact.activate(y)
        return self.output_grid.round(y) if self.output_grid else y


def fake_quant_integers(network: FoldedNetwork, quantized: QuantizedNetwork) -> list[FakeQuantLayer]:
    """The layers of an int8 network: outputs are rounded, and what the pool gives once more."""
    layers = []
    for exact, integers in zip(network.layers, quantized.layers, strict=True):
        scales = torch.from_numpy(integers.weight_scales)
        layers.append(
            FakeQuantLayer(
                exact=exact,
                weight=torch.from_numpy(integers.weight).float() * scales[:, None, None, None],
                bias=torch.from_numpy(integers.bias).float() * scales * integers.input.scale,
                input_grid=_input_grid(exact, integers.input),
                output_grid=Grid.of(integers.output),
            )
        )
    return layers


def _input_grid(layer: FoldedLayer, quantization: Quantization) -> Grid | None:
    """The stem takes pixels, and the layer behind the pool means; every other layer's input is on the grid already."""
    is_stem = layer.kind == "conv"
    return Grid.of(quantization, takes_pixels=is_stem) if is_stem or layer.pools else None


def fake_quant_symmetric(network: FoldedNetwork, symmetric: SymmetricNetwork) -> list[FakeQuantLayer]:
    """The layers of a symmetric network: inputs are rounded, around the shift that the layer before put on them."""
    layers, shift = [], 0.0
    for exact, layer in zip(network.layers, symmetric.layers, strict=True):
        weight = torch.from_numpy(layer.weight).float()
        if layer.weight_scales is not None:
            weight = weight * torch.from_numpy(layer.weight_scales)[:, None, None, None]
        layers.append(
            FakeQuantLayer(
                exact=exact,
                weight=weight,
                bias=torch.from_numpy(layer.bias) + layer.shift - shift * weight.sum(dim=(1, 2, 3)),
                input_grid=None if layer.input_scale is None else Grid(layer.input_scale, shift, -128, 127),
                output_grid=None,
            )
        )
        shift = layer.shift
    return layers
