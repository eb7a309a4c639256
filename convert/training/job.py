"""A whole training job: from a plan to checkpoints in a folder."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from convert.checkpoints import Checkpoint
from convert.data.dataset import write_splits
from convert.model import MobileNetV1, ModelConfig
from convert.training.estimate import Estimate, estimated
from convert.training.evaluation import Recalibration, accuracy, members, recalibrate_batch_norm
from convert.training.family import Family
from convert.training.image_dataset import Photos, read_labelled
from convert.training.metrics import Metrics
from convert.training.plan import Plan
from convert.training.recipe import Recipe
from convert.training.results import write_checkpoints
from convert.training.run import Best, Schedule, memory_explained, restored, train
from convert.training.source import Shard
from convert.training.state import STATE, StateFile
from convert.training.tasks import FamilyTask, SingleTask, Task, Teacher
from convert.training.trainer import Trainer
from edge.bundles.variant import Variant
from edge.files import write_atomically
from edge.json_files import to_json
from edge.progress import Progress, no_progress

__all__ = ["BEGUN", "Job"]

MOST_TO_CHECK: Final = 500
"""Validation pictures that a check in between looks at; the end looks at ten times as many."""
_TO_RECALIBRATE: Final = 768
"""Pictures that the final statistics are estimated on; a check takes a quarter."""
METRICS, SPLITS, LABELS, REPORT = "metrics.csv", "splits.csv", "labels.txt", "training.json"
BEGUN: Final = (METRICS, SPLITS, LABELS)
"""What a run writes at its start, of no use without its checkpoints or a state."""


class Job:
    """Carries out a plan in one process, or in one of several."""

    def __init__(self, plan: Plan, out: Path, *, device: torch.device, shard: Shard, workers: int) -> None:
        """Read the pictures and build the networks.

        Raises:
            TrainingError: The pictures cannot be learned from.
        """
        self.plan: Final = plan
        self._out, self._device, self._shard, self._workers = out, device, shard, workers
        self._source = Photos(plan.dataset.train, len(plan.dataset.labels), plan.augmentation, plan.recipe.seed)
        dataset = plan.dataset
        self._examples, self._unreadable = read_labelled(dataset.measured, 10 * MOST_TO_CHECK)
        few = self._examples
        if dataset.test:
            few, unreadable = read_labelled(dataset.validation, MOST_TO_CHECK)
            self._unreadable += unreadable
        self._few = few[:: max(1, len(few) // MOST_TO_CHECK)]

    @property
    def unreadable(self) -> list[str]:
        """Why pictures were passed over so far."""
        return [*self._unreadable, *self._source.unreadable]

    @property
    def is_first(self) -> bool:
        """Whether this process writes the results."""
        return self._shard.rank == 0

    def estimate(self, progress: Progress = no_progress) -> Estimate:
        """What the run will take, from a few steps of it."""
        recipe = replace(self.plan.recipe, growth=(), peak_rate=1e-9)
        with memory_explained(recipe.batch):
            return estimated(self._trainer(recipe), self.plan.variants, len(self.plan.dataset.labels), progress)

    def run(
        self,
        schedule: Schedule,
        *,
        resume: bool = False,
        tensorboard: Path | None = None,
        progress: Progress = no_progress,
    ) -> dict[Variant, float]:
        """Train, and write checkpoints, labels, splits, figures and a report; the accuracy of each variant.

        Raises:
            DivergedError: The loss became no number.
            OutputError: A file cannot be written.
        """
        trainer, best = self._trainer(self.plan.recipe), Best()
        state = StateFile(self._out / STATE, self.plan.settings())
        if resume:
            best = restored(trainer, state)
        metrics = None
        if self.is_first:
            write_splits(self.plan.dataset, self._out / SPLITS)
            write_atomically(self._out / LABELS, "".join(f"{label}\n" for label in self.plan.dataset.labels))
            metrics = Metrics(self._out / METRICS, after_step=trainer.step, tensorboard=tensorboard)
        with contextlib.closing(metrics) if metrics else contextlib.nullcontext():
            train(
                trainer,
                schedule,
                state=state if self.is_first else None,
                metrics=metrics,
                check=self._check,
                best=best,
                progress=progress,
            )
        return self._finish(trainer, best, progress) if self.is_first else {}

    def _finish(self, trainer: Trainer, best: Best, progress: Progress) -> dict[Variant, float]:
        recalibration = self._recalibration(_TO_RECALIBRATE)
        found = write_checkpoints(
            trainer.average, self.plan.resolutions, recalibration, self._out, self._examples, progress
        )
        report = {
            "top1": {variant.name: round(top1, 4) for variant, top1 in found.items()},
            "validation_pictures": len(self._examples),
            "train_pictures": len(self.plan.dataset.train),
            "best_step": best.step,
            "rate": self.plan.recipe.peak_rate,
            **self.plan.settings(),
        }
        write_atomically(self._out / REPORT, to_json(report))
        (self._out / STATE).unlink(missing_ok=True)
        return found

    def _trainer(self, recipe: Recipe) -> Trainer:
        torch.manual_seed(recipe.seed)
        return Trainer(
            self._task(recipe),
            self._source,
            recipe,
            preprocessing=self.plan.preprocessing,
            device=self._device,
            shard=self._shard,
            workers=self._workers,
        )

    def _task(self, recipe: Recipe) -> Task:
        plan, widest = self.plan, max(self.plan.alphas)
        build = functools.partial(_built, plan.config, plan.start)
        options: dict[str, Any] = {"smoothing": recipe.smoothing, "teacher": self._teacher(), "seed": recipe.seed}
        if len(plan.alphas) == 1:
            return SingleTask(build(widest).to(self._device), plan.resolutions, **options)
        return FamilyTask(
            Family(build, plan.alphas).to(self._device), plan.resolutions, ripening=recipe.steps, **options
        )

    def _teacher(self) -> Teacher | None:
        if self.plan.teacher is None:
            return None
        side = max(self.plan.resolutions)
        network = self.plan.teacher.at(side).to(self._device).requires_grad_(False)
        return Teacher(network, side, self.plan.teacher_weight)

    def _recalibration(self, pictures: int) -> Recalibration:
        first = self.plan.recipe.steps * self.plan.recipe.batch  # behind all that were learned from
        examples = [self._source.example(first + n) for n in range(pictures)]
        return Recalibration(examples=examples, preprocessing=self.plan.preprocessing, device=self._device)

    def _check(self, network: nn.Module) -> float:
        """The mean accuracy of the networks of all widths at the highest resolution, on some pictures."""
        recalibration, side = self._recalibration(_TO_RECALIBRATE // 4), max(self.plan.resolutions)
        found = [
            accuracy(
                recalibrate_batch_norm(member, [side], recalibration)[0],
                self._few,
                side,
                preprocessing=self.plan.preprocessing,
                device=self._device,
            )
            for member in members(network)
        ]
        return sum(found) / len(found)


def _built(config: ModelConfig, start: Checkpoint | None, alpha: float) -> nn.Module:
    """A network of one width: fresh, or with the weights to begin with if it is theirs."""
    network = MobileNetV1(replace(config, alpha=alpha))
    if start is not None and alpha == config.alpha and network.stem.conv.weight.device.type != "meta":
        weights = start.model.state_dict()
        if start.config.classes != config.classes or start.is_headless:
            weights = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
        network.load_state_dict(weights, strict=False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
