"""One training run from its start, or from where it stopped, to its end: states, checks, figures, and when to stop."""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import distributed, nn

from convert.errors import DivergedError, TrainingError
from convert.training.metrics import Metrics
from convert.training.state import StateFile
from convert.training.trainer import Trainer
from edge.errors import OutputError
from edge.progress import Progress, no_progress

__all__ = ["Best", "Schedule", "in_hours", "memory_explained", "restored", "train"]

_log = logging.getLogger(__name__)
_WINDOW = 20
"""Steps whose losses are averaged for display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a run looks up from its work."""

    check_every: int
    """Steps between two measurements of accuracy."""
    save_every_s: float = 60.0
    """Seconds between two states written."""
    patience: int | None = None
    """Stop after as many checks in a row without a better one; None goes through to the end."""


@dataclass(slots=True)
class Best:
    """The best that was measured so far."""

    top1: float = -1.0
    step: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    misses: int = 0
    """Checks since."""

    def consider(self, top1: float, trainer: Trainer) -> None:
        """Take the averaged network of now if it is better, or as good and later."""
        if top1 >= self.top1:
            self.top1, self.step, self.misses = top1, trainer.step, 0
            self.network = copy.deepcopy(trainer.average.state_dict())
        else:
            self.misses += 1


def train(
    trainer: Trainer,
    schedule: Schedule,
    *,
    state: StateFile | None,
    metrics: Metrics | None,
    check: Callable[[nn.Module], float],
    best: Best | None = None,
    progress: Progress = no_progress,
) -> Best:
    """Run ``trainer`` to its end, and leave in its ``average`` the best network that was measured.

    Args:
        trainer: Fresh, or restored.
        schedule: When to measure, to save and to stop.
        state: Where the state is kept; None in processes that keep none.
        metrics: Where figures go; likewise.
        check: The accuracy of a network, 0 to 1; asked in the process that keeps the state.
        best: What a restored run had found.
        progress: Called with the loss and the time left.

    Raises:
        DivergedError: The loss is not a number any more; the state before it is kept.
        TrainingError: There is not enough memory.
    """
    run = _Run(trainer, schedule, state, metrics, check, best or Best())
    losses: deque[float] = deque(maxlen=_WINDOW)
    with memory_explained(trainer.recipe.batch):
        try:
            for loss in trainer.steps():
                losses.append(loss)
                mean = sum(losses) / len(losses)
                progress(f"loss {mean:.3f}, {run.pace.left()} left", trainer.step / trainer.recipe.steps)
                if run.looked_up(mean):
                    break
        except DivergedError as error:
            raise run.with_state(error) from error
    run.save()  # what is left to do may fail, and can be done again
    if run.best.network:
        trainer.average.load_state_dict(run.best.network)
    return run.best


def restored(trainer: Trainer, state: StateFile) -> Best:
    """Bring ``trainer`` to where its run stopped, and give the best found until then."""
    kept = state.read()
    trainer.restore(kept["trainer"])
    return Best(**kept["best"])


class _Run:
    """What a run does between two steps."""

    def __init__(
        self,
        trainer: Trainer,
        schedule: Schedule,
        state: StateFile | None,
        metrics: Metrics | None,
        check: Callable[[nn.Module], float],
        best: Best,
    ) -> None:
        self.best, self.pace = best, _Pace(trainer)
        self._trainer, self._schedule, self._state, self._metrics = trainer, schedule, state, metrics
        self._check, self._saved = check, time.monotonic()

    def looked_up(self, loss: float) -> bool:
        """Measure and save if it is time to; whether the run stops here."""
        step, recipe, stops = self._trainer.step, self._trainer.recipe, False
        if step % self._schedule.check_every == 0 or step == recipe.steps:
            self._measure(loss)
            patience = self._schedule.patience
            stops = _agreed(patience is not None and self.best.misses >= patience)
        if not stops and time.monotonic() - self._saved >= self._schedule.save_every_s:
            self.save()
        return stops

    def save(self) -> None:
        """Write the state; one that cannot be written may be written later, and the one before is still there."""
        if self._state is None:
            return
        kept = {name: getattr(self.best, name) for name in ("top1", "step", "network", "misses")}
        try:
            self._state.write({"trainer": self._trainer.state(), "best": kept})
        except OutputError as error:
            _log.warning("%s Training continues; it could be resumed only from the state before", error)
        self._saved = time.monotonic()

    def with_state(self, error: DivergedError) -> DivergedError:
        """Keep the state before the loss became no number, and say so."""
        self.save()
        if self._state is None:
            return error
        step = self._trainer.step
        return DivergedError(
            f"{error} The state before it, of step {step}, is kept: resume with a lower learning rate."
        )

    def _measure(self, loss: float) -> None:
        if self._metrics is None:
            return
        top1 = self._check(self._trainer.average)
        self.best.consider(top1, self._trainer)
        step = self._trainer.step
        figures = {"loss": loss, "rate": self._trainer.recipe.rate(step - 1), "pictures_per_s": self.pace.speed()}
        self._metrics.add(step, figures | {"top1": top1})


@contextlib.contextmanager
def memory_explained(batch: int) -> Iterator[None]:
    """Say what to do where there is not enough memory for batches of ``batch`` pictures.

    Raises:
        TrainingError: There is not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        if not is_memory:
            raise
        raise TrainingError(
            f"Not enough memory for batches of {batch} pictures: try batches of {max(2, batch // 2)}, "
            "fewer resolutions or, on a GPU, bf16."
        ) from error


def _agreed(stops: bool) -> bool:
    """What the first process decided, in every process."""
    if not distributed.is_initialized():
        return stops
    word = torch.tensor([int(stops)])
    if distributed.get_backend() == "nccl":
        word = word.cuda()
    distributed.broadcast(word, 0)
    return bool(word.item())


class _Pace:
    """How fast training goes."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._started, self._first = trainer, time.monotonic(), trainer.step

    def speed(self) -> float:
        """Pictures per second, of all processes together."""
        done = (self._trainer.step - self._first) * self._trainer.recipe.batch
        return done / max(1e-9, time.monotonic() - self._started)

    def left(self) -> str:
        """The time to the end, as ``12:05`` or ``1:12:05``."""
        steps = self._trainer.recipe.steps - self._trainer.step
        return in_hours(steps * self._trainer.recipe.batch / max(1e-9, self.speed()))


def in_hours(seconds: float) -> str:
    """``12:05`` or ``1:12:05``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
