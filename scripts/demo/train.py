"""Learns the digits on cards: the whole family, sixteen variants, in one set of weights.

Pictures start easy and small, which is cheap and gets learning under way, and grow to what the test asks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from convert.model import MobileNetV1, ModelConfig
from convert.training.evaluation import Recalibration
from convert.training.family import Family
from convert.training.recipe import Recipe
from convert.training.results import write_checkpoints
from convert.training.run import Schedule, restored
from convert.training.run import train as run_to_its_end
from convert.training.state import STATE, StateFile
from convert.training.tasks import FamilyTask
from convert.training.trainer import Trainer
from edge.bundles.variant import ALPHAS, RESOLUTIONS
from scripts.demo.cards import LABELS
from scripts.demo.pictures import PREPROCESSING, Cards, held_out_pictures

__all__ = ["recipe_for", "train"]

_HARD_FROM: Final = 0.3
"""The share of the steps after which pictures are as hard as the test's."""


def recipe_for(effort: float = 1.0) -> Recipe:
    """The recipe that the shipped networks were trained by, its steps multiplied by ``effort``."""
    growth = ((0.48, 0.36), (0.67, 0.6))
    return Recipe(steps=max(1, round(2700 * effort)), batch=32, peak_rate=7e-3, growth=growth, precision="bf16")


def train(
    recipe: Recipe,
    folder: Path,
    *,
    report: Callable[[str], None] = print,
    every: int = 50,
    recalibration: int = 512,
    per_class: int = 100,
) -> None:
    """Train the family and write a checkpoint for each width; the same recipe, machine and threads give the same.

    Args:
        recipe: How to train.
        folder: Where the checkpoints go, and the state, from which a run that was stopped goes on.
        report: Takes a line for people.
        every: Steps between two lines.
        recalibration: Pictures that batch norm's statistics are estimated on.
        per_class: Pictures of each class, of handwriting that was not trained on, to measure on.
    """
    torch.manual_seed(recipe.seed)
    family = Family(_build, ALPHAS)
    task = FamilyTask(family, RESOLUTIONS, smoothing=recipe.smoothing, ripening=recipe.steps, seed=recipe.seed)
    trainer = Trainer(task, _source(recipe), recipe, preprocessing=PREPROCESSING)
    folder.mkdir(parents=True, exist_ok=True)
    state = StateFile(folder / STATE, recipe.to_dict())
    if state.path.exists():
        restored(trainer, state)

    def progress(stage: str, share: float) -> None:
        if (step := round(share * recipe.steps)) % every == 0:
            report(f"step {step}/{recipe.steps}: {stage}")

    schedule = Schedule(check_every=recipe.steps)
    run_to_its_end(trainer, schedule, state=state, metrics=None, check=lambda network: 0.0, progress=progress)
    frames, labels = held_out_pictures(per_class)
    examples = [(frame, int(label)) for frame, label in zip(frames, labels, strict=True)]
    measured = write_checkpoints(trainer.average, RESOLUTIONS, _recalibration(recipe, recalibration), folder, examples)
    for variant, share in measured.items():
        report(f"{variant.name}: {share:.1%} of {len(examples)}")


def _build(alpha: float) -> MobileNetV1:
    model = MobileNetV1(ModelConfig(alpha=alpha, classes=len(LABELS)))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _source(recipe: Recipe) -> Cards:
    small_steps = recipe.growth[0][0] * recipe.steps
    return Cards(
        hard_from=round(_HARD_FROM * recipe.steps) * recipe.batch,
        small_until=round(small_steps) * recipe.batch,
        seed=recipe.seed,
    )


def _recalibration(recipe: Recipe, count: int) -> Recalibration:
    cards = Cards(seed=recipe.seed + 1)
    examples = [cards.example(number) for number in range(count)]
    return Recalibration(examples=examples, preprocessing=PREPROCESSING, device=torch.device("cpu"))
