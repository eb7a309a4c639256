"""Learns the last layers again from what the int8 layers before them see, with weights rounded as in the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from convert.model import pads
from convert.pipeline.temperature import fit_temperature
from edge.teaching.head import Head
from scripts.demo.tail import Array, TailLayer, weight_scales

__all__ = ["Fitted", "fit_tail"]

_BATCH: Final = 32
_LEVEL: Final = 6 / 255
"""The unit of what a layer with ReLU6 gives."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What was learned."""

    layers: list[TailLayer]
    head: Head


def fit_tail(
    seen: NDArray[np.int8],
    truth: NDArray[np.integer],
    held_out: NDArray[np.bool_],
    layers: Sequence[TailLayer],
    classifier: tuple[Array, Array],
    *,
    epochs: int,
    rate: float,
    report: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Learn the layers and the classifier, and a temperature.

    Args:
        seen: What the first of the layers takes, (pictures, height, width, channels).
        truth: The class of each picture.
        held_out: Pictures that nothing but the temperature is found on.
        layers: Where to start, and what the file holds.
        classifier: Weights (features, classes) and bias to start from.
        epochs: How often each picture is shown.
        rate: The highest learning rate.
        report: Takes a line for people.
    """
    torch.manual_seed(0)
    tail = _Tail(layers, classifier)
    x = torch.from_numpy(seen).permute(0, 3, 1, 2)
    y = torch.from_numpy(np.asarray(truth, np.int64))
    learned = torch.from_numpy(np.flatnonzero(~held_out))
    steps = epochs * math.ceil(len(learned) / _BATCH)
    optimizer = torch.optim.AdamW(tail.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 20), pct_start=0.1)
    for epoch in range(epochs):
        losses = []
        for chosen in torch.split(learned[torch.randperm(len(learned))], _BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(tail(tail.features(x[chosen])), y[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        report(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f}")
    with torch.no_grad():
        features = torch.cat([tail.features(part) for part in torch.split(x, 256)]).double().numpy()
    weights = tail.classifier.weight.detach().double().numpy().T, tail.classifier.bias.detach().double().numpy()
    return Fitted(tail.layers(layers), _head(features, np.asarray(truth), held_out, *weights))


class _Tail(nn.Module):
    """The layers as the file computes them, in float: weights and activations on their levels."""

    def __init__(self, layers: Sequence[TailLayer], classifier: tuple[Array, Array]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.from_numpy(layer.weight).float() for layer in layers])
        self.biases = nn.ParameterList([torch.from_numpy(layer.bias).float() for layer in layers])
        self._layers = list(layers)
        self.classifier = nn.Linear(*classifier[0].shape)
        self.classifier.weight.data.copy_(torch.from_numpy(classifier[0].T))
        self.classifier.bias.data.copy_(torch.from_numpy(classifier[1]))

    def features(self, levels: Tensor) -> Tensor:
        """(pictures, features) of int8 levels (pictures, channels, height, width)."""
        x = (levels.float() + 128) * self._layers[0].scale_in
        for layer, weight, bias in zip(self._layers, self.weights, self.biases, strict=True):
            groups = len(weight) if layer.is_depthwise else 1
            x = functional.pad(x, pads(weight.shape[-1], layer.stride, "same"))
            x = functional.conv2d(x, _on_levels(weight), bias, stride=layer.stride, groups=groups)
            x = _rounded(x.clamp(0, 6), torch.tensor(_LEVEL))
        return _rounded(x.mean(dim=(2, 3)), torch.tensor(_LEVEL))

    def forward(self, features: Tensor) -> Tensor:
        """Logits."""
        return self.classifier(features)  # type: ignore[no-any-return]

    def layers(self, before: Sequence[TailLayer]) -> list[TailLayer]:
        """What was learned, for the file."""
        weights = [weight.detach().double().numpy() for weight in self.weights]
        biases = [bias.detach().double().numpy() for bias in self.biases]
        return [replace(b, weight=w, bias=c) for b, w, c in zip(before, weights, biases, strict=True)]


def _on_levels(weight: Tensor) -> Tensor:
    scales = torch.from_numpy(weight_scales(weight.detach().double().numpy())).float()
    return _rounded(weight, scales[:, None, None, None])


def _rounded(x: Tensor, unit: Tensor) -> Tensor:
    """``x`` on multiples of ``unit``; gradients pass as if it were not."""
    return x + ((x / unit).round() * unit - x).detach()


def _head(
    features: Array, truth: NDArray[np.integer], held_out: NDArray[np.bool_], weights: Array, bias: Array
) -> Head:
    """The classifier with its temperature in it."""
    logits = features @ weights + bias
    temperature = fit_temperature(logits[held_out], truth[held_out])
    low, high = float(logits.min() / temperature), float(logits.max() / temperature)
    margin = 0.1 * (high - low)
    return Head(weights / temperature, bias / temperature, (low - margin, high + margin), temperature)
