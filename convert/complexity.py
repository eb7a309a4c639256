"""Mult-adds and parameters of a network, counted on the network itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["LayerCost", "LayerKind", "layer_costs", "mult_adds_of", "parameters_of"]

LayerKind = Literal["conv", "depthwise", "pointwise", "hidden", "classifier"]
"""``hidden`` layers stand between the pool and the classifier; both are fully connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What one convolution or the classifier costs."""

    name: str
    """Its place in the network, as ``named_modules`` names it."""
    kind: LayerKind
    weight_shape: tuple[int, ...]
    stride: int
    input_shape: tuple[int, ...]
    """(channels, height, width) before padding, or (features,)."""
    mult_adds: int
    """For one picture."""
    weights: int
    biases: int
    norms: int
    """Batch norm's gamma and beta behind it."""

    @property
    def parameters(self) -> int:
        """All that is trained."""
        return self.weights + self.biases + self.norms


def layer_costs(model: nn.Module, resolution: int, channels: int = 3) -> list[LayerCost]:
    """Every convolution and linear layer in the order in which they run, for one input (channels, ρ, ρ).

    The network runs once, on zeros, without normalization and activations: they change no shape, and for tensors
    without numbers (``torch.device("meta")``) they would take most of the time.
    """
    found: list[LayerCost] = []
    twin = copy.deepcopy(model).eval()
    for name, module in twin.named_modules():
        if isinstance(module, (nn.BatchNorm2d, nn.Hardtanh, nn.ReLU)):
            module.forward = lambda x: x  # type: ignore[method-assign, assignment]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda layer, x, y, name=name: found.append(_counted(name, layer, x[0], y)))
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda layer, x, y: found.append(_with_norm(found.pop(), layer)))
    with torch.no_grad():
        twin(torch.zeros(1, channels, resolution, resolution))
    return found


def mult_adds_of(layers: list[LayerCost]) -> int:
    """The sum over all layers."""
    return sum(layer.mult_adds for layer in layers)


def parameters_of(layers: list[LayerCost]) -> int:
    """The sum over all layers, batch norm's gamma and beta among them."""
    return sum(layer.parameters for layer in layers)


def _counted(name: str, layer: nn.Conv2d | nn.Linear, x: Tensor, y: Tensor) -> LayerCost:
    stride = layer.stride[0] if isinstance(layer, nn.Conv2d) else 1
    return LayerCost(
        name=name,
        kind=_kind(layer),
        weight_shape=tuple(layer.weight.shape),
        stride=stride,
        input_shape=(x.shape[1], *(stride * side for side in y.shape[2:])),
        mult_adds=layer.weight[0].numel() * y[0].numel(),
        weights=layer.weight.numel(),
        biases=0 if layer.bias is None else layer.bias.numel(),
        norms=0,
    )


def _with_norm(before: LayerCost, norm: nn.BatchNorm2d) -> LayerCost:
    return replace(before, norms=sum(tensor.numel() for tensor in norm.parameters()))


def _kind(layer: nn.Conv2d | nn.Linear) -> LayerKind:
    if isinstance(layer, nn.Linear):
        return "classifier"
    if layer.groups > 1:
        return "depthwise"
    return "pointwise" if layer.kernel_size == (1, 1) else "conv"
