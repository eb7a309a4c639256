"""Learns the digits on cards: the whole family, sixteen variants, in one set of weights.

Pictures start easy and small, which is cheap and gets learning under way, and grow to what the test asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from convert.model import MobileNetV1, ModelConfig
from convert.train.family import Family
from convert.train.members import Settling
from convert.train.recipe import Recipe
from convert.train.results import write_checkpoints
from convert.train.tasks import FamilyTask
from convert.train.trainer import Trainer
from edge.variant import ALPHAS, RESOLUTIONS
from scripts.demo.cards import LABELS
from scripts.demo.pictures import PREPROCESSING, Cards, held_out_pictures

__all__ = ["recipe_for", "train"]

_HARD_FROM: Final = 0.3
"""The share of the steps after which pictures are as hard as the test's."""


def recipe_for(effort: float = 1.0) -> Recipe:
    """The recipe that the shipped networks were trained by, its steps multiplied by ``effort``."""
    growth = ((0.35, 0.36), (0.7, 0.5), (0.88, 0.75))
    return Recipe(steps=max(1, round(1600 * effort)), batch=32, peak_rate=6e-3, growth=growth)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    tell: Callable[[str], None] = print,
    every: int = 50,
    settling: int = 512,
    per_class: int = 100,
) -> None:
    """Train the family and write a checkpoint for each width; the same recipe, machine and threads give the same.

    Args:
        recipe: How to train.
        folder: Where the checkpoints go.
        tell: Takes a line for people.
        every: Steps between two lines.
        settling: Pictures that batch norm's statistics are estimated on.
        per_class: Pictures of each class, of handwriting that was not trained on, to measure on.
    """
    torch.manual_seed(recipe.seed)
    task = FamilyTask(Family(_build, ALPHAS), RESOLUTIONS, smoothing=recipe.smoothing, seed=recipe.seed)
    trainer = Trainer(task, _source(recipe), recipe, preprocessing=PREPROCESSING)
    started_s, losses = time.monotonic(), list[float]()
    for loss in trainer.steps():
        losses.append(loss)
        if trainer.step % every == 0:
            minutes, mean = (time.monotonic() - started_s) / 60, sum(losses[-every:]) / every
            tell(f"step {trainer.step}/{recipe.steps} loss {mean:.3f} {minutes:.1f} min")
    folder.mkdir(parents=True, exist_ok=True)
    frames, labels = held_out_pictures(per_class)
    examples = [(frame, int(label)) for frame, label in zip(frames, labels, strict=True)]
    measured = write_checkpoints(trainer.average, RESOLUTIONS, _settling(recipe, settling), folder, examples)
    for variant, share in measured.items():
        tell(f"{variant.name}: {share:.1%} of {len(examples)}")


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


def _settling(recipe: Recipe, count: int) -> Settling:
    cards = Cards(seed=recipe.seed + 1)
    examples = [cards.example(number) for number in range(count)]
    return Settling(examples=examples, preprocessing=PREPROCESSING, device=torch.device("cpu"))
