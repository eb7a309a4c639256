"""The loop: one step after another, the same on one processor, on a GPU and on many.

Processes are those that ``torchrun`` started. Each learns from its part of every batch, and
``DistributedDataParallel`` averages their gradients once a step, in the last of its passes.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Generator
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convert.errors import DivergedError, TrainingError
from convert.training.recipe import Recipe, parameter_groups
from convert.training.source import Batch, ExampleSource, Shard, batches, normalized
from convert.training.tasks import Task
from edge.vision.preprocess import Preprocessing

__all__ = ["Trainer"]


class Trainer:
    """Trains one task's network; :attr:`average` is what it gives.

    >>> for loss in Trainer(task, source, Recipe(steps=100)).steps():  # doctest: +SKIP
    ...     print(loss)
    """

    def __init__(
        self,
        task: Task,
        source: ExampleSource,
        recipe: Recipe,
        *,
        preprocessing: Preprocessing | None = None,
        device: torch.device | None = None,
        shard: Shard | None = None,
        workers: int = 1,
    ) -> None:
        """Make ready to train.

        Args:
            task: The network, on its device, and its losses.
            source: Where pictures come from.
            recipe: How to train.
            preprocessing: How the device sees pictures; None for the default.
            device: Where to compute.
            shard: This process's part of every batch.
            workers: Threads that make pictures ready.

        Raises:
            TrainingError: The batch does not divide among the processes.
        """
        self.task: Final = task
        self.recipe: Final = recipe
        self.step = 0
        """Steps done."""
        self.average: Final = copy.deepcopy(task.network)
        """The network with its weights averaged over the last steps."""
        self._source, self._workers = source, workers
        self._preprocessing = preprocessing or Preprocessing()
        self.device: Final = device or torch.device("cpu")
        """Where it computes."""
        self._shard = shard or Shard()
        if recipe.batch % self._shard.of or recipe.batch // self._shard.of < 2:
            raise TrainingError(
                f"A batch of {recipe.batch} pictures does not divide among {self._shard.of} processes: expected a "
                "multiple of their number, at least twice it."
            )
        self._model = _shared(task) if self._shard.of > 1 else task.network
        self._optimizer = torch.optim.AdamW(parameter_groups(task.network, recipe.weight_decay), lr=recipe.peak_rate)

    @property
    def batch(self) -> int:
        """Pictures per step of this process."""
        return self.recipe.batch // self._shard.of

    def steps(self) -> Generator[float]:
        """Train from the current step to the end; after each step, give the loss before it.

        Raises:
            DivergedError: The loss or its gradient is not finite; the weights are those before the step.
        """
        made = batches(
            self._source,
            self._preprocessing,
            range(self.step, self.recipe.steps),
            self.recipe.batch,
            lambda step: [self.recipe.scaled(side, step) for side in self.task.resolutions(step)],
            shard=self._shard,
            workers=self._workers,
        )
        with contextlib.closing(made):
            for batch in made:
                yield self._learn(batch)

    def state(self) -> dict[str, Any]:
        """All that another trainer of the same task needs to continue from here with the same result."""
        return {
            "step": self.step,
            "network": self.task.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`."""
        self.task.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        self.step = state["step"]

    def _learn(self, batch: Batch) -> float:
        network, step = self.task.network.train(), self.step
        labels = torch.from_numpy(batch.labels).to(self.device)

        def pictures(resolution: int) -> Tensor:
            pixels = batch.pixels[self.recipe.scaled(resolution, step)]
            return normalized(pixels, self._preprocessing, self.device)

        self._optimizer.zero_grad(set_to_none=True)
        first = self._backwards(step, pictures, labels)
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.recipe.largest_norm)
        if not math.isfinite(float(norm)):
            raise DivergedError(
                f"Training diverged at step {step + 1}: the loss is {first:g} and its gradient not finite. "
                f"Try a lower learning rate than {self.recipe.peak_rate:g}, half of it to begin with."
            )
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self._optimizer.step()
        _follow(self.average, network, self.recipe.averaging(step))
        self.step += 1
        return first

    def _backwards(self, step: int, pictures: Any, labels: Tensor) -> float:
        """Gather the gradients of all the step's losses; the first loss."""
        values: list[float] = []
        losses = self.task.losses(step, self._model, pictures, labels)
        is_half = self.recipe.precision == "bf16"
        last = self.task.passes(step) - 1
        for number in range(last + 1):
            with self._gradients_kept() if number < last else contextlib.nullcontext():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=is_half):
                    loss = next(losses)
                values.append(float(loss.detach()))
                loss.backward()  # type: ignore[no-untyped-call]
        return values[0]

    def _gradients_kept(self) -> contextlib.AbstractContextManager[Any]:
        """Send no gradients yet: others of the same step are to be added to them."""
        model = self._model
        return model.no_sync() if isinstance(model, DistributedDataParallel) else contextlib.nullcontext()


def _shared(task: Task) -> nn.Module:
    """The task's network, whose gradients are averaged over all processes."""
    has_unused = task.passes(0) > 1  # each pass of a family uses the parameters of one width
    return DistributedDataParallel(task.network, broadcast_buffers=False, find_unused_parameters=has_unused)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, share: float) -> None:
    """Move ``average`` towards ``network``, keeping ``share`` of where it was."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - share)
