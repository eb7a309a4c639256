"""Fine-tuning with int8's rounding in the loop (quantization-aware training, arXiv 1712.05877).

It starts from what the quantizer made, and what it ends in is of the same kind: the scales stay, the integers move.
Forwards every weight, bias and activation is rounded as the integer network rounds it; backwards the rounding is
passed over. The float network teaches, and so do labels where there are any. What is not better on pictures that were
not learned from, or is farther from float there, is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from convert.data.dataset import UNLABELLED, DataSet, Labelled
from convert.quantization import FoldedNetwork, QuantizedNetwork
from convert.quantization.fake_quant import Grid
from convert.training.image_dataset import Augmentation, Photos, read_labelled
from convert.training.recipe import Recipe
from convert.training.source import ExampleSource, make_batch, normalized
from convert.training.tasks import SingleTask, Teacher, objective
from convert.training.trainer import Trainer
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Frame, Preprocessing

__all__ = ["FakeQuantNetwork", "Qat", "fine_tuned"]

GUARD_EVERY: Final = 8
"""One in this many pictures is not learned from: they show whether fine-tuning helped."""
_TEACHING: Final = 0.7
"""How much the float network's answers count beside the labels."""
_LARGEST_BIAS: Final = 2**30
_CPU: Final = torch.device("cpu")
_BATCH: Final = 32


class FakeQuantNetwork(nn.Module):
    """An integer network on real numbers, whose integers can be learned."""

    def __init__(self, network: FoldedNetwork, integers: QuantizedNetwork) -> None:
        """Start from ``integers``; ``network`` is the float network that they were made from."""
        super().__init__()
        self._layers, self._start = network.layers, integers
        self.levels = nn.ParameterList(torch.from_numpy(layer.weight).float() for layer in integers.layers)
        self.biases = nn.ParameterList()
        for layer, unit in zip(integers.layers, self._units(), strict=True):
            real = torch.from_numpy(layer.bias).double() * unit.double()
            self.biases.append(nn.Parameter((real / layer.output.scale).float()))  # weights and biases move alike

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3, ρ, ρ)."""
        x = Grid.of(self._start.input, takes_pixels=True).round(x)
        rows = zip(self._layers, self._start.layers, self.levels, self.biases, self._units(), strict=True)
        for layer, integers, levels, bias, unit in rows:
            if layer.pools:
                x = _on_grid(x.mean(dim=(2, 3), keepdim=True), Grid.of(integers.input))
            scales = torch.from_numpy(integers.weight_scales)[:, None, None, None]
            weight = _rounded(levels.clamp(-127, 127)) * scales
            whole = _rounded(bias * integers.output.scale / unit) * unit
            x = _on_grid(layer.activate(layer.convolve(x, weight, whole)), Grid.of(integers.output))
        return x.flatten(1)

    @torch.no_grad()
    def integers(self) -> QuantizedNetwork:
        """The integers that were learned."""
        layers = []
        for layer, levels, bias, unit in zip(self._start.layers, self.levels, self.biases, self._units(), strict=True):
            whole = (bias.double() * layer.output.scale / unit.double()).round().clamp(-_LARGEST_BIAS, _LARGEST_BIAS)
            weight = levels.clamp(-127, 127).round().to(torch.int8).numpy()
            layers.append(replace(layer, weight=weight, bias=whole.to(torch.int32).numpy()))
        return replace(self._start, layers=tuple(layers))

    def _units(self) -> list[Tensor]:
        """What one step of each layer's biases stands for, (out,)."""
        return [layer.input.scale * torch.from_numpy(layer.weight_scales) for layer in self._start.layers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qat:
    """Fine-tunes the integers of one variant after another on labelled pictures."""

    dataset: DataSet
    labels: tuple[str, ...]
    """The network's classes; pictures of others teach by the float network's answers alone."""
    epochs: float = 4.0
    seed: int = 0

    def tune(
        self, network: FoldedNetwork, integers: QuantizedNetwork, progress: Progress = no_progress
    ) -> QuantizedNetwork:
        """``integers``, or better ones.

        Args:
            network: The equalized float network that they were made from.
            integers: What the quantizer made of it.
            progress: Called as the work goes on.
        """
        items = [replace(item, label=self._index(item)) for item in self.dataset.train]
        learned = [item for number, item in enumerate(items) if number % GUARD_EVERY]
        guard, _ = read_labelled(items[::GUARD_EVERY], 500)
        augmentation = Augmentation(strength=0.3, flips=False)
        source = Photos(learned, len(self.labels), augmentation, self.seed)
        steps = max(1, round(self.epochs * len(learned) / _BATCH))
        recipe = Recipe(
            steps=steps, batch=_BATCH, peak_rate=0.005, weight_decay=0.0, smoothing=0.0, average=0.9, seed=self.seed
        )
        return fine_tuned(network, integers, source, guard, recipe, progress)

    def _index(self, item: Labelled) -> int:
        name = self.dataset.labels[item.label] if item.label != UNLABELLED else ""
        return self.labels.index(name) if name in self.labels else UNLABELLED


def fine_tuned(
    network: FoldedNetwork,
    integers: QuantizedNetwork,
    source: ExampleSource,
    guard: Sequence[tuple[Frame, int]],
    recipe: Recipe,
    progress: Progress = no_progress,
) -> QuantizedNetwork:
    """Better integers, or ``integers`` themselves where none were found.

    Args:
        network: The equalized float network, which teaches.
        integers: Where to start.
        source: Pictures to learn from.
        guard: Other pictures, which decide.
        recipe: How to train; its rate is in int8 steps.
        progress: Called as the work goes on.
    """
    side, preprocessing = integers.variant.resolution, integers.preprocessing
    teacher = _Float(network)
    task = SingleTask(FakeQuantNetwork(network, integers), [side], teacher=Teacher(teacher, side, _TEACHING))
    trainer = Trainer(task, source, recipe, preprocessing=preprocessing)
    before = _loss(FakeQuantNetwork(network, integers), teacher, guard, side, preprocessing)
    for loss in trainer.steps():
        progress(f"fine-tuning, loss {loss:.3f}", trainer.step / recipe.steps)
    assert isinstance(trainer.average, FakeQuantNetwork)
    after = _loss(trainer.average, teacher, guard, side, preprocessing)
    is_better = all(new < old for new, old in zip(after, before, strict=True))
    return trainer.average.integers() if is_better else integers


class _Float(nn.Module):
    """The float network as a module."""

    def __init__(self, network: FoldedNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, x: Tensor) -> Tensor:
        return self._network.logits(x)


@torch.no_grad()
def _loss(
    network: nn.Module, teacher: nn.Module, guard: Sequence[tuple[Frame, int]], side: int, preprocessing: Preprocessing
) -> tuple[float, float]:
    """On the guard's pictures: what fine-tuning makes small, and the part of it that is the distance from float."""
    losses = []
    for start in range(0, len(guard), _BATCH):
        batch = make_batch(guard[start : start + _BATCH], [side], preprocessing)
        x, labels = normalized(batch.pixels[side], preprocessing, _CPU), torch.from_numpy(batch.labels)
        soft = teacher(x).softmax(dim=1)
        logits = network(x)
        both = [objective(logits, labels, soft, weight, 0.0).item() for weight in (_TEACHING, 1.0)]
        losses += [both] * len(labels)
    loss, distance = np.mean(losses, axis=0)
    return float(loss), float(distance)


def _rounded(x: Tensor) -> Tensor:
    """``x`` rounded, with the gradient of ``x``."""
    return x + (x.round() - x).detach()


def _on_grid(x: Tensor, grid: Grid) -> Tensor:
    """The nearest point of ``grid``, with the gradient of what lies within its ends."""
    ends = (grid.offset + grid.step * n for n in (grid.lowest, grid.highest))
    inside = x.clamp(*ends)
    return inside + (grid.round(inside) - inside).detach()
