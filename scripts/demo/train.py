"""Learns the digits on cards: one network per width, good at every resolution of the family.

Pictures start easy and small, which is cheap and gets learning under way, and grow to what the test asks.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from convert.model import MobileNetV1, ModelConfig
from edge.preprocess import Frame
from edge.variant import RESOLUTIONS
from scripts.demo.cards import LABELS, draw_labelled
from scripts.demo.ink import load_handwriting
from scripts.demo.pool import Pool, inputs

__all__ = ["Phase", "Plan", "accuracy", "held_out_pictures", "learn", "new_model", "plan_for", "settle", "train"]


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps at resolutions drawn from one set."""

    steps: int
    resolutions: tuple[int, ...]
    """Heights and widths in pixels, each as likely as the next; one given twice is twice as likely."""
    batch: int
    """Pictures per step."""
    side: int = 256
    """Height and width of the pictures drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one network is trained."""

    alpha: float
    phases: tuple[Phase, ...]
    peak_rate: float = 1e-2
    weight_decay: float = 0.02
    smoothing: float = 0.05
    """Share of the target spread over all classes."""
    pool: int = 3000
    """Pictures kept in memory."""
    fresh: float = 0.15
    """New pictures per batch, as a share of the batch."""
    fixed: int = 600
    """Steps at the end with batch norm's statistics fixed, so that the weights learn to share one set of them."""
    ramp: float = 0.3
    """Share of the steps over which pictures grow as hard as the test's."""
    seed: int = 1

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)


def plan_for(alpha: float, effort: float = 1.0) -> Plan:
    """The plan the shipped networks were trained by, its steps multiplied by ``effort``."""
    small, medium, large, final = (600, 800, 700, 1200) if alpha < 0.5 else (400, 500, 500, 1300)
    phases = (
        Phase(small, (64,), 64, side=128),
        Phase(medium, (96,), 64, side=192),
        Phase(large, (96, 128, 160), 64),
        Phase(final, (128, 160, 192, 224, 224), 32),
    )
    plan = Plan(alpha=alpha, phases=tuple(replace(phase, steps=math.ceil(effort * phase.steps)) for phase in phases))
    return replace(plan, fixed=math.ceil(effort * plan.fixed))


def train(plan: Plan, *, settling: int = 12, log_every: int = 100) -> MobileNetV1:
    """Train one network as planned; the same plan, machine and thread count give the same weights."""
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    model = new_model(plan.alpha)
    average = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(_groups(model, plan.weight_decay), lr=plan.peak_rate)
    pool = Pool(rng, load_handwriting("train"), plan.pool, plan.phases[0].side)
    started, losses, is_fixed = time.monotonic(), [], False
    for step, (phase, resolution) in enumerate(_schedule(plan, rng)):
        pool = pool.drawn_at(phase.side)
        hardness = min(1.0, step / (plan.ramp * plan.steps))
        if not pool.drawn:
            pool.renew(plan.pool // 4, hardness)
        pool.renew(math.ceil(plan.fresh * phase.batch), hardness)
        if step == plan.steps - plan.fixed:
            settle(average, pool, settling)
            model.load_state_dict(average.state_dict())
            is_fixed = True
        _set_rate(optimizer, plan.peak_rate * _shape(step / plan.steps) * math.sqrt(phase.batch / 64))
        losses.append(learn(model, optimizer, pool, phase.batch, resolution, plan.smoothing, is_fixed))
        _follow(average, model, min(0.99, (1 + step) / (10 + step)))
        if step % log_every == log_every - 1:
            minutes, loss = (time.monotonic() - started) / 60, np.mean(losses[-log_every:])
            print(f"α={plan.alpha} step {step + 1}/{plan.steps} loss {loss:.3f} {minutes:.1f} min", flush=True)
    return average.eval()


def new_model(alpha: float) -> MobileNetV1:
    """An untrained network, its weights laid out as the CPU computes them fastest."""
    model = MobileNetV1(ModelConfig(alpha=alpha, classes=len(LABELS)))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def learn(
    model: MobileNetV1,
    optimizer: torch.optim.Optimizer,
    pool: Pool,
    batch: int,
    resolution: int,
    smoothing: float,
    is_fixed: bool = False,
) -> float:
    """One step on one batch from ``pool``, batch norm normalizing by the batch or by its fixed statistics.

    Returns:
        The loss before the step.
    """
    frames, labels = pool.batch(batch)
    model.train(not is_fixed)
    logits = model(inputs(frames, resolution))
    loss = functional.cross_entropy(logits, torch.from_numpy(labels), label_smoothing=smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


def settle(model: MobileNetV1, pool: Pool, rounds: int) -> None:
    """Estimate batch norm's statistics anew, as plain means over all four resolutions of the family."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(rounds):
            for resolution in RESOLUTIONS:
                model(inputs(pool.batch(64)[0], resolution))


def held_out_pictures(per_class: int, seed: int = 2024) -> tuple[list[Frame], NDArray[np.int64]]:
    """Pictures of held-out handwriting, ``per_class`` of each class, and their labels."""
    rng, handwriting = np.random.default_rng(seed), load_handwriting("held-out")
    labels = np.arange(per_class * len(LABELS), dtype=np.int64) % len(LABELS)
    return [draw_labelled(rng, handwriting, int(label), synthetic=0.0) for label in labels], labels


def accuracy(model: MobileNetV1, frames: Sequence[Frame], labels: NDArray[np.int64], resolution: int) -> float:
    """Share of ``frames`` whose most likely class is the true one, from 0 to 1."""
    model.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(frames), 50):
            found.append(model(inputs(frames[start : start + 50], resolution)).argmax(dim=1).numpy())
    return float((np.concatenate(found) == labels).mean())


def _schedule(plan: Plan, rng: np.random.Generator) -> Iterator[tuple[Phase, int]]:
    """The phase and the resolution of each step."""
    for phase in plan.phases:
        for _ in range(phase.steps):
            yield phase, int(rng.choice(phase.resolutions))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _shape(progress: float) -> float:
    """The learning rate's course: a short rise, then straight down to nothing."""
    rise = 0.05
    return 0.05 + 0.95 * progress / rise if progress < rise else (1 - progress) / (1 - rise)


def _groups(model: MobileNetV1, weight_decay: float) -> list[dict[str, object]]:
    """Weights that decay, pointwise and classifier, and those that do not: depthwise, batch norm, biases."""
    decays = [p for p in model.parameters() if p.ndim > 1 and p.shape[1] > 1]
    others = [p for p in model.parameters() if p.ndim <= 1 or p.shape[1] == 1]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def _follow(average: MobileNetV1, model: MobileNetV1, share: float) -> None:
    """Move ``average`` towards ``model``, keeping ``share`` of where it was."""
    for mean, now in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(now, 1 - share)
