"""Rewrites of the float network that leave its answers alone and make it better food for int8.

Most of what int8 costs a MobileNet v1 comes in at the very start: depthwise filters that take differences amplify the
rounding of the few channels before them. Two rewrites lower that noise, at no cost when the network runs; the first is
exact, the second moves the network's answers less than rounding does:

- **Stretching.** A channel that can never reach the activation's cap is scaled up until it can, and the depthwise
  filter behind it down. Weights are quantized channel by channel, so neither loses a bit; the channel gains some.
  (Cross-layer equalization, arXiv 1906.04721, kept to where ReLU6 allows it exactly: the cap itself does not scale.)
- **Employing dead channels.** A channel whose depthwise output is the same whatever the picture, or as good as the
  same beside the rounding of the others, carries nothing: its mean moves into the next layer's bias, and the channel
  becomes a copy of the one whose rounding hurts most, shifted by a part of a quantization step. The average of the
  copies then has steps a half, a third... as wide.

What a channel can reach comes from interval arithmetic over all possible pictures, not from those at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.quantization.calibration import batches
from convert.quantization.folding import FoldedLayer, FoldedNetwork
from edge.vision.preprocess import Preprocessing

__all__ = ["Reach", "equalize", "reaches"]

_PICTURES: Final = 32
"""Enough to rank channels by how much their rounding hurts."""
_LARGEST_STRETCH: Final = 20.0
_SLIGHT: Final = 0.02
"""Channels that cannot change more than this share of the power that rounding has are as good as constant."""
_SLIGHTEST: Final = 1e-4
"""A layer none of whose channels is this much weaker than all together has none to spare."""
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Reach:
    """The least and the greatest value of each channel of one layer's output, over all possible pictures."""

    low: Tensor
    high: Tensor

    @property
    def half_width(self) -> Tensor:
        """How far each channel can be from the middle of what it can reach."""
        return (self.high - self.low) / 2


@torch.inference_mode()
def equalize(network: FoldedNetwork, pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> FoldedNetwork:
    """``network`` with nearly the same answers, stretched and with its dead channels at work.

    Args:
        network: Batch norm folded.
        pixels: Pictures (count, ρ, ρ, 3) that tell which channels matter most.
        preprocessing: Fixes what the pixels can stand for.
    """
    stretched = _stretch(network, preprocessing)
    return _employ(stretched, reaches(stretched, preprocessing), pixels[:_PICTURES], preprocessing)


def reaches(network: FoldedNetwork, preprocessing: Preprocessing) -> list[Reach]:
    """What every layer's output can reach after its activation, by interval arithmetic."""
    edges = torch.from_numpy(preprocessing.real(np.array([[0], [255]], np.uint8)))
    reach, found = Reach(edges.amin(dim=0), edges.amax(dim=0)), []
    for layer in network.layers:
        reach = _reach(layer, reach)
        found.append(reach)
    return found


def _reach(layer: FoldedLayer, inputs: Reach) -> Reach:
    low, high = inputs.low, inputs.high
    if any(layer.pads):
        low, high = low.clamp(max=0), high.clamp(min=0)
    up, down = layer.weight.clamp(min=0).sum(dim=(2, 3)), layer.weight.clamp(max=0).sum(dim=(2, 3))
    if layer.kind == "depthwise":
        up, down = torch.diag(up[:, 0]), torch.diag(down[:, 0])
    return Reach(
        layer.activate(layer.bias + up @ low + down @ high), layer.activate(layer.bias + up @ high + down @ low)
    )


def _stretch(network: FoldedNetwork, preprocessing: Preprocessing) -> FoldedNetwork:
    layers = list(network.layers)
    for index, reach in enumerate(reaches(network, preprocessing)[:-1]):
        before, after = layers[index : index + 2]
        if after.kind == "depthwise" and before.cap is not None and np.isfinite(before.cap):
            gain = (before.cap / reach.high.clamp(min=before.cap / _LARGEST_STRETCH)).clamp(min=1)
            gain[reach.high <= 0] = 1
            layers[index] = replace(before, weight=before.weight * gain[:, None, None, None], bias=before.bias * gain)
            layers[index + 1] = replace(after, weight=after.weight / gain[:, None, None, None])
    return replace(network, layers=tuple(layers))


def _employ(
    network: FoldedNetwork, found: list[Reach], pixels: NDArray[np.uint8], preprocessing: Preprocessing
) -> FoldedNetwork:
    swings = {n: found[n + 1].half_width.square() * _gain(network.layers[n + 2]) for n in _triples(network)}
    indices = [n for n, swing in swings.items() if (swing <= _SLIGHTEST * swing.sum()).any()]
    layers = list(network.layers)
    for index, noise in _noise(network, indices, pixels, preprocessing).items():
        free = _free(swings[index], noise.harm.sum().item())
        triple = _without(layers[index : index + 3], free, noise.mean)
        layers[index : index + 3] = _with_copies(triple, _shared_out(noise.harm, free), noise.step)
    return replace(network, layers=tuple(layers))


def _free(swing: Tensor, noise: float) -> list[int]:
    """Channels that together, at worst, change what is behind the pointwise layer much less than rounding does."""
    order = swing.argsort(stable=True)
    return sorted(order[swing[order].cumsum(dim=0) <= _SLIGHT * noise].tolist())


def _gain(pointwise: FoldedLayer) -> Tensor:
    """How much louder each input channel's power arrives in all outputs."""
    return pointwise.weight.square().sum(dim=(0, 2, 3))


def _triples(network: FoldedNetwork) -> Iterator[int]:
    """Where a layer is followed by a depthwise and a pointwise one."""
    kinds = [layer.kind for layer in network.layers]
    return (n for n in range(len(kinds) - 2) if kinds[n + 1 : n + 3] == ["depthwise", "pointwise"])


@dataclass(frozen=True, slots=True)
class _Noise:
    """What rounding a layer's output to int8 does behind the depthwise and the pointwise layer that follow."""

    step: float
    harm: Tensor
    """(channels,): the power that each channel's rounding has there, mean over pictures and positions."""
    mean: Tensor
    """(channels,), of the depthwise layer's output."""


def _noise(
    network: FoldedNetwork, indices: Sequence[int], pixels: NDArray[np.uint8], preprocessing: Preprocessing
) -> dict[int, _Noise]:
    """What rounding the outputs of the layers at ``indices`` does, each by itself."""
    first, layers = replace(network, layers=network.layers[: max(indices, default=-1) + 1]), network.layers
    highs = dict.fromkeys(indices, 0.0)
    for _, x in batches(pixels, preprocessing):
        if all(high == layers[index].cap for index, high in highs.items()):
            break
        for index, (layer, _, y) in enumerate(first.trace(x)):
            if index in highs:
                highs[index] = max(highs[index], layer.activate(y.amax()).item())
    steps = {index: max(high, _TINY) / 255 for index, high in highs.items()}
    harm, mean = ({index: torch.zeros_like(layers[index + 1].bias) for index in indices} for _ in range(2))
    for _, x in batches(pixels, preprocessing) if indices else ():
        for index, (layer, _, y) in enumerate(first.trace(x)):
            if index in steps:
                depthwise, exact = layers[index + 1], layer.activate(y)
                rounded = (exact / steps[index]).round_().mul_(steps[index])
                wanted = depthwise.activate_(depthwise.convolve(exact))
                noise = depthwise.activate_(depthwise.convolve(rounded)).sub_(wanted)
                harm[index] += noise.square_().mean(dim=(2, 3)).sum(dim=0) / len(pixels)
                mean[index] += wanted.mean(dim=(2, 3)).sum(dim=0) / len(pixels)
    return {index: _Noise(steps[index], harm[index] * _gain(layers[index + 2]), mean[index]) for index in indices}


def _shared_out(harm: Tensor, free: list[int]) -> dict[int, list[int]]:
    """Which free channels become copies of which: each goes where one copy more lowers the noise most.

    With n copies the steps are a nth as wide, and the noise is a nth squared.
    """
    copies: dict[int, list[int]] = {}
    candidates = [(float(h), channel) for channel, h in enumerate(harm) if channel not in free and h > 0]
    for channel in free if candidates else []:
        gains = ((h / n**2 - h / (n + 1) ** 2, -c) for h, c in candidates for n in [1 + len(copies.get(c, ()))])
        copies.setdefault(-max(gains)[1], []).append(channel)
    return copies


def _without(triple: list[FoldedLayer], channels: list[int], constant: Tensor) -> list[FoldedLayer]:
    """The three layers with constant channels taken out: what they gave is in the last one's bias."""
    first, depthwise, pointwise = triple
    weight = pointwise.weight.clone()
    bias = pointwise.bias + weight[:, channels, 0, 0] @ constant[channels]
    weight[:, channels] = 0
    return [first, depthwise, replace(pointwise, weight=weight, bias=bias)]


def _with_copies(triple: list[FoldedLayer], copies: dict[int, list[int]], step: float) -> list[FoldedLayer]:
    first, depthwise, pointwise = (replace(n, weight=n.weight.clone(), bias=n.bias.clone()) for n in triple)
    for channel, twins in copies.items():
        count = 1 + len(twins)
        pointwise.weight[:, [channel, *twins]] = pointwise.weight[:, channel : channel + 1] / count
        for number, twin in enumerate(twins, start=1):
            shift = step * (number / count if 2 * number <= count else number / count - 1)
            first.weight[twin], first.bias[twin] = first.weight[channel], first.bias[channel] + shift
            depthwise.weight[twin] = depthwise.weight[channel]
            depthwise.bias[twin] = depthwise.bias[channel] - shift * depthwise.weight[channel].sum()
    return [first, depthwise, pointwise]
