"""What a step of training asks of a network: the pictures it wants, and the losses it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convert.data.dataset import UNLABELLED
from convert.training.family import Family

__all__ = ["FamilyTask", "SingleTask", "Task", "Teacher", "objective"]

InputsAt = Callable[[int], Tensor]
"""The step's pictures as the network's input, for one of the resolutions that the task asked for."""


class Task(Protocol):
    """One way to train one network."""

    @property
    def network(self) -> nn.Module:
        """What is learned and kept."""

    def resolutions(self, step: int) -> Sequence[int]:
        """The resolutions ρ that a step wants its pictures at; the same for the same step."""

    def passes(self, step: int) -> int:
        """How many losses a step has."""

    def losses(self, step: int, model: nn.Module, pictures: InputsAt, labels: Tensor) -> Iterator[Tensor]:
        """The step's losses, the one to watch first; each goes backwards before the next is asked for.

        Args:
            step: Counted from 0.
            model: What to call: the network, or a wrapper of it.
            pictures: The step's pictures.
            labels: int64 (batch,); ``UNLABELLED`` where the class is not known.
        """


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network to learn from besides the labels, or without."""

    network: nn.Module
    """Frozen, in evaluation mode."""
    resolution: int
    """The ρ at which it looks."""
    weight: float = 0.5
    """How much its answers count beside the labels, 0 to 1."""

    @torch.no_grad()
    def answers(self, pictures: InputsAt) -> Tensor:
        """Its probabilities (batch, classes)."""
        probabilities: Tensor = self.network(pictures(self.resolution)).softmax(dim=1)
        return probabilities


class SingleTask:
    """One network, at one resolution or at several in turn."""

    def __init__(
        self,
        network: nn.Module,
        resolutions: Sequence[int],
        *,
        smoothing: float = 0.0,
        teacher: Teacher | None = None,
        seed: int = 0,
    ) -> None:
        """Train ``network``, any that takes (batch, 3, ρ, ρ) and gives logits, at ``resolutions``."""
        self.network: Final = network
        self._resolutions, self._smoothing, self._teacher, self._seed = tuple(resolutions), smoothing, teacher, seed

    def resolutions(self, step: int) -> list[int]:
        """One of the resolutions, and the teacher's."""
        own = int(_generator(self._seed, step).choice(self._resolutions))
        return [own] if self._teacher is None else [own, self._teacher.resolution]

    def passes(self, step: int) -> int:
        """One."""
        return 1

    def losses(self, step: int, model: nn.Module, pictures: InputsAt, labels: Tensor) -> Iterator[Tensor]:
        """One loss."""
        soft = self._teacher.answers(pictures) if self._teacher else None
        weight = self._teacher.weight if self._teacher else 0.0
        logits = model(pictures(self.resolutions(step)[0]))
        yield objective(logits, labels, soft, weight, self._smoothing)


class FamilyTask:
    """Every width and resolution in one set of weights.

    The sandwich rule with in-place distillation (universally slimmable networks, arXiv 1903.05134), over resolutions
    as well (MutualNet, arXiv 1909.12978): each step teaches the widest network at the highest resolution, and then
    every width at some other resolution. With four widths all of them are taught in every step.
    """

    def __init__(
        self,
        network: Family,
        resolutions: Sequence[int],
        *,
        smoothing: float = 0.0,
        teacher: Teacher | None = None,
        softness: float = 0.5,
        ripening: int = 0,
        seed: int = 0,
    ) -> None:
        """Train ``network`` at ``resolutions``.

        Args:
            network: The widths.
            resolutions: Every ρ.
            smoothing: Share of the labels' target that is spread over all classes.
            teacher: A trained network that teaches the largest.
            softness: How much the largest network's answers count for the others in the end.
            ripening: Steps over which they come to count that much: at first they are worth nothing.
            seed: Which resolutions meet which widths.
        """
        self.network: Final = network
        self._sides = tuple(sorted(set(resolutions), reverse=True))
        self._smoothing, self._teacher = smoothing, teacher
        self._softness, self._ripening, self._seed = softness, ripening, seed

    def members(self, step: int) -> list[tuple[float, int]]:
        """The α and ρ that a step teaches: the largest, then every α once more, each at another ρ as far as there are.

        Which ρ each has is drawn for every step; the widest network's second one is below the highest.
        """
        draw, alphas = _generator(self._seed, step), self.network.alphas
        sides = [int(side) for side in draw.permutation(self._sides)]
        if sides[0] == self._sides[0]:
            sides = [*sides[1:], sides[0]]
        others = [(alpha, sides[n % len(sides)]) for n, alpha in enumerate(alphas)]
        largest = (alphas[0], self._sides[0])
        return [largest, *(member for member in others if member != largest)]

    def resolutions(self, step: int) -> list[int]:
        """The resolutions of the networks that a step teaches, and the teacher's."""
        sides = [side for _, side in self.members(step)]
        return sides if self._teacher is None else [*sides, self._teacher.resolution]

    def passes(self, step: int) -> int:
        """One for each network that the step teaches."""
        return len(self.members(step))

    def losses(self, step: int, model: nn.Module, pictures: InputsAt, labels: Tensor) -> Iterator[Tensor]:
        """The largest network's loss, then the others' on what it answered."""
        soft = self._teacher.answers(pictures) if self._teacher else None
        weight = self._teacher.weight if self._teacher else 0.0
        (alpha, side), *others = self.members(step)
        logits = model(pictures(side), alpha)
        soft_of_largest = logits.detach().float().softmax(dim=1)
        yield objective(logits, labels, soft, weight, self._smoothing)
        softness = self._softness * min(1.0, step / max(1, self._ripening))
        for alpha, side in others:
            logits = model(pictures(side), alpha)
            yield objective(logits, labels, soft_of_largest, softness, self._smoothing)


def objective(logits: Tensor, labels: Tensor, soft: Tensor | None, weight: float, smoothing: float) -> Tensor:
    """The mean loss of a batch.

    Args:
        logits: (batch, classes).
        labels: int64 (batch,); ``UNLABELLED`` where the class is not known.
        soft: Probabilities (batch, classes) to learn from as well, if any.
        weight: How much ``soft`` counts where the class is known. Where it is not, it is all there is.
        smoothing: Share of the target that is spread over all classes.
    """
    logits = logits.float()
    hard = functional.cross_entropy(
        logits, labels, reduction="none", ignore_index=UNLABELLED, label_smoothing=smoothing
    )
    if soft is None:
        return hard.mean()
    learned = -(soft * logits.log_softmax(dim=1)).sum(dim=1)
    weights = torch.where(labels == UNLABELLED, 1.0, weight)
    return (weights * learned + (1 - weights) * hard).mean()


def _generator(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng((seed, step, 0x5A))
