"""How a network is trained, as a value: two runs of one recipe on one machine give the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from torch import nn

from convert.errors import TrainingError

__all__ = ["Recipe", "TrainingPrecision", "parameter_groups"]

TrainingPrecision = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run ends in, besides its pictures and its networks."""

    steps: int
    batch: int = 64
    """Pictures per step, of all processes together."""
    peak_rate: float = 4e-3
    """The learning rate after warming up; AdamW's."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises. Then it falls to zero as a cosine does."""
    weight_decay: float = 0.02
    """Of pointwise layers and the classifier. Depthwise filters, batch norms and biases have none: the paper's
    "very little or no weight decay"."""
    smoothing: float = 0.05
    """Share of the target that is spread over all classes."""
    average: float = 0.99
    """How much of the averaged weights, which are what is kept in the end, each step leaves standing."""
    largest_norm: float = 5.0
    """Longer gradients are shortened to this."""
    growth: tuple[tuple[float, float], ...] = ()
    """Beginnings on smaller pictures: (up to which share of the steps, by what resolutions are multiplied)."""
    precision: TrainingPrecision = "fp32"
    """``bf16`` multiplies in bfloat16 where that is safe; weights stay float32."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2:
            raise TrainingError(
                f"{self.steps} steps of {self.batch} pictures are not enough: expected at least one step, of two "
                "pictures or more, because batch norm compares them."
            )
        if not (math.isfinite(self.peak_rate) and self.peak_rate > 0):
            raise TrainingError(f"invalid learning rate {self.peak_rate}: expected a positive number, e.g. 0.004.")
        if self.precision not in get_args(TrainingPrecision):
            raise TrainingError(
                f"unknown precision '{self.precision}': expected one of {', '.join(get_args(TrainingPrecision))}"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = max(1.0, self.warmup * self.steps)
        if step < rising:
            return self.peak_rate * (step + 1) / (rising + 1)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, self.steps - rising)))

    def averaging(self, step: int) -> float:
        """How much of the averaged weights stays at a step: little at first, when weights are worth nothing yet."""
        return min(self.average, (1 + step) / (10 + step))

    def scaled(self, resolution: int, step: int) -> int:
        """The height and width of pictures that stand for ``resolution`` at a step: smaller while growing."""
        for until, factor in self.growth:
            if step < until * self.steps:
                return max(32, 16 * round(factor * resolution / 16))
        return resolution

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return asdict(self)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters for an optimizer: those that decay, and those that do not: depthwise, batch norm, biases."""
    decaying = set(_decaying(network))
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in network.parameters():
        groups[id(parameter) not in decaying].append(parameter)
    decays = (weight_decay, 0.0)
    return [{"params": p, "weight_decay": d} for p, d in zip(groups, decays, strict=True) if p]


def _decaying(network: nn.Module) -> Iterator[int]:
    for module in network.modules():
        is_dense = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if is_dense:
            assert isinstance(module.weight, nn.Parameter)
            yield id(module.weight)
