"""One family in one set of weights beside sixteen networks trained one by one: the same steps each, on digits.

The digits are scikit-learn's, written large on paper of any light colour, moved, turned and in noise; few of them are
trained on, so that there is something to tell the ways of training apart. The resolutions are the family's, divided.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convert.checkpoints.statistics import with_statistics
from convert.model import MobileNetV1, ModelConfig
from convert.training.evaluation import Recalibration, accuracy, members, recalibrate_batch_norm
from convert.training.family import Family
from convert.training.recipe import Recipe
from convert.training.tasks import FamilyTask, SingleTask, Task
from convert.training.trainer import Trainer
from edge.bundles.variant import ALPHAS, RESOLUTIONS
from edge.files import write_atomically
from edge.json_files import to_json
from edge.vision.preprocess import Frame, Preprocessing

__all__ = ["Digits", "main"]

SIDE: Final = 64
HELD_OUT_EVERY: Final = 5
_CPU: Final = torch.device("cpu")
_CHANGING: Final = ("out", "processes", "only", "softness")
"""Options that leave the figures of an earlier run valid."""
_Task = tuple[str, int]
"""What is trained, the family or the single network's α and ρ as ``0.25-32``, and the seed."""


@dataclass(frozen=True, eq=False)
class Digits:
    """An endless sequence of written digits, of one part of the set."""

    greys: NDArray[np.uint8]
    """(count, 8, 8), 0 paper to 16 ink."""
    digits: NDArray[np.int64]
    seed: int
    classes: int = 10

    @classmethod
    def load(cls, *, held_out: bool, count: int, seed: int) -> Digits:
        """``count`` digits of the part to train on, or of every fifth, which is held out."""
        from sklearn.datasets import load_digits

        pictures, digits = load_digits(return_X_y=True)
        part = np.flatnonzero((np.arange(len(digits)) % HELD_OUT_EVERY == 0) == held_out)
        chosen = np.random.default_rng(seed).permutation(part)[:count]
        return cls(pictures[chosen].reshape(-1, 8, 8).astype(np.uint8), digits[chosen].astype(np.int64), seed)

    def example(self, number: int) -> tuple[Frame, int]:
        """Picture ``number``, uint8 (64, 64, 3) BGR, and its digit."""
        rng = np.random.default_rng((self.seed, number))
        index = int(rng.integers(len(self.digits)))
        grey = cv2.resize(self.greys[index].astype(np.float32) / 16, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-15, 15), rng.uniform(0.8, 1.1))
        turn = turn + np.pad(rng.uniform(-0.1, 0.1, (2, 1)) * SIDE, ((0, 0), (2, 0)))
        ink = np.clip(cv2.warpAffine(grey, turn, (SIDE, SIDE)), 0, 1)[:, :, None]
        paper, tone = rng.uniform(150, 255, 3), rng.uniform(0, 100, 3)
        noise = rng.normal(0, rng.uniform(0, 25), (SIDE, SIDE, 3))
        return np.clip(paper * (1 - ink) + tone * ink + noise, 0, 255).astype(np.uint8), int(self.digits[index])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train both ways, and print accuracies, differences and the CPU time of each."""
    options = _parser().parse_args(arguments)
    plan = {name: value for name, value in vars(options).items() if name not in _CHANGING}
    done = _done(options.out, plan)
    tasks = [task for seed in range(1, options.seeds + 1) for task in _tasks(options, seed)]
    tasks = [task for task in tasks if options.only is None or task[0].startswith(options.only)]
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_carry_out, task, options): task for task in tasks if str(task) not in done}
        for future in as_completed(waiting):
            done[str(waiting[future])] = future.result()
            print(waiting[future], future.result(), flush=True)
            if options.out:
                write_atomically(options.out, to_json({"plan": plan, "done": done}))
    if options.only is None:
        _print(done, options)


def _done(out: Path | None, plan: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run of the same plan has done."""
    if out is None or not out.is_file():
        return {}
    kept = json.loads(out.read_text())
    done: dict[str, Any] = kept["done"] if kept["plan"] == plan else {}
    return done


def _tasks(options: argparse.Namespace, seed: int) -> list[_Task]:
    """Largest first, so that no process is left alone at the end."""
    variants = [f"{alpha:g}-{side}" for alpha in ALPHAS for side in _sides(options.divide)]
    return [(_family(options), seed), *((variant, seed) for variant in variants)]


def _carry_out(task: _Task, options: argparse.Namespace) -> dict[str, float]:
    """Top-1 accuracy by variant, and the seconds of CPU that the training took."""
    name, seed = task
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    source, smoothing = Digits.load(held_out=False, count=options.digits, seed=seed), Recipe(steps=1).smoothing
    sides = _sides(options.divide)
    if name == _family(options):
        whole = FamilyTask(
            Family(_network, ALPHAS),
            sides,
            smoothing=smoothing,
            softness=options.softness,
            ripening=options.steps,
            seed=seed,
        )
        network, seconds = _trained(whole, source, options, seed)
        alphas: Sequence[float] = ALPHAS
    else:
        alpha, side = float(name.split("-")[0]), int(name.split("-")[1])
        single = SingleTask(_network(alpha), [side], smoothing=smoothing, seed=seed)
        network, seconds = _trained(single, source, options, seed)
        alphas, sides = [alpha], [side]
    found = {"cpu_s": round(seconds, 1)}
    for alpha, member in zip(alphas, members(network), strict=True):
        model, own = recalibrate_batch_norm(member, sides, _recalibration(source, options))
        found |= {f"{alpha:g}-{s}": _accuracy(with_statistics(model, own[s]), s, options) for s in sides}
    return found


def _family(options: argparse.Namespace) -> str:
    return f"family, softness {options.softness:g}"


def _sides(divide: int) -> list[int]:
    return [side // divide for side in RESOLUTIONS]


def _network(alpha: float) -> nn.Module:
    network = MobileNetV1(ModelConfig(alpha=alpha, classes=10))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _trained(task: Task, source: Digits, options: argparse.Namespace, seed: int) -> tuple[nn.Module, float]:
    """The network, and the seconds of CPU that it took."""
    recipe = Recipe(steps=options.steps, batch=options.batch, peak_rate=options.rate, seed=seed)
    trainer, started = Trainer(task, source, recipe), time.process_time()
    for _ in trainer.steps():
        pass
    return trainer.average, time.process_time() - started


def _recalibration(source: Digits, options: argparse.Namespace) -> Recalibration:
    behind = options.steps * options.batch
    examples = [source.example(behind + n) for n in range(512)]
    return Recalibration(examples=examples, preprocessing=Preprocessing(), device=_CPU)


def _accuracy(network: nn.Module, side: int, options: argparse.Namespace) -> float:
    test = Digits.load(held_out=True, count=1000, seed=0)
    examples = [test.example(n) for n in range(options.test)]
    return accuracy(network, examples, side, preprocessing=Preprocessing(), device=_CPU)


def _print(done: dict[str, Any], options: argparse.Namespace) -> None:
    """Means over the seeds, in percent."""
    seeds = range(1, options.seeds + 1)
    print("α     ρ    single  family  difference")
    differences: dict[float, list[float]] = {alpha: [] for alpha in ALPHAS}
    for alpha in ALPHAS:
        for side in _sides(options.divide):
            name = f"{alpha:g}-{side}"
            single = 100 * statistics.mean(done[str((name, seed))][name] for seed in seeds)
            family = 100 * statistics.mean(done[str((_family(options), seed))][name] for seed in seeds)
            differences[alpha].append(family - single)
            print(f"{alpha:<5g} {side:<4d} {single:6.1f}  {family:6.1f}  {family - single:+6.1f}")
        print(f"α={alpha:g}: {statistics.mean(differences[alpha]):+.1f}")
    of_family = sum(found["cpu_s"] for name, found in done.items() if _family(options) in name)
    of_singles = sum(found["cpu_s"] for name, found in done.items() if "family" not in name)
    mean = statistics.mean(value for values in differences.values() for value in values)
    print(f"all: {mean:+.1f} points; sixteen single trainings take {of_singles / of_family:.1f} times the CPU time")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    positive = partial(parser.add_argument, type=int)
    positive("--steps", default=300, help="of the family, and of every single network")
    positive("--batch", default=32)
    positive("--digits", default=200, help="how many are trained on")
    positive("--test", default=1000, help="pictures to measure on")
    positive("--seeds", default=1)
    positive("--divide", default=4, help="the family's resolutions are divided by this")
    positive("--threads", default=1, help="of each process")
    positive("--processes", default=2, help="networks trained at once")
    parser.add_argument("--softness", type=float, default=0.5, help="how much the widest network's answers count")
    parser.add_argument("--only", help="train this alone: family, or e.g. 0.25-32")
    parser.add_argument("--rate", type=float, default=6e-3)
    parser.add_argument("--out", type=Path, help="a JSON file of all figures; what it holds already is not done again")
    return parser


if __name__ == "__main__":
    main()
