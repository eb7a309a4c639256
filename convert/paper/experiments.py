"""The paper's experiments at a small scale: what full convolutions, depth, α and ρ buy, each by training.

Everything is smaller than in the paper, and it says by how much: the widest network has a quarter of MobileNet's
channels, the largest picture 96 pixels, and there are ten classes. So the accuracies say nothing about ImageNet; what
can be compared is the order and the shape of the curves.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from convert.complexity import layer_costs
from convert.errors import TrainingError
from convert.model import ModelConfig
from convert.paper.digits import Digits
from convert.paper.networks import Body
from convert.training.evaluation import Recalibration, accuracy, recalibrate_batch_norm
from convert.training.recipe import Recipe
from convert.training.tasks import SingleTask
from convert.training.trainer import Trainer
from edge.files import write_atomically
from edge.json_files import read_json, to_json
from edge.progress import Progress, no_progress
from edge.vision.preprocess import Preprocessing

__all__ = ["BASE_ALPHA", "RESOLUTIONS", "Network", "Result", "Results", "networks", "run"]

BASE_ALPHA: Final = 0.25
"""The width that stands for the paper's 1."""
RESOLUTIONS: Final = (96, 64, 32)
"""For the paper's 224 to 128."""
_ALPHAS: Final = (1.0, 0.75, 0.5, 0.25)
_COMPARED_AT: Final = 32
_RATE: Final = 6e-3
_TESTED: Final = 2000
_SETTLED_ON: Final = 512
RESULTS: Final = "experiments.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network of the experiments."""

    label: str
    alpha: float
    """Relative to the widest."""
    resolution: int
    is_shallow: bool = False
    is_separable: bool = True

    def build(self) -> nn.Module:
        """It, untrained."""
        config = ModelConfig(alpha=BASE_ALPHA * self.alpha, classes=10)
        return Body(config, is_shallow=self.is_shallow, is_separable=self.is_separable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one network costs, and what its trainings reached."""

    label: str
    alpha: float
    resolution: int
    mult_adds: int
    parameters: int
    """Weights, as the paper counts."""
    accuracies: tuple[float, ...]
    """Top-1 of each training, 0 to 1."""

    @property
    def top1(self) -> float:
        """The mean of the trainings."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float:
        """Standard deviation between the trainings; 0 of one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All networks, and how they were trained."""

    steps: int
    batch: int
    rows: tuple[Result, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def row(self, label: str) -> Result:
        """The network of that name."""
        return next(row for row in self.rows if row.label == label)


def networks() -> list[Network]:
    """Each α at one ρ, the two that the paper compares with, in full convolutions and shallow, and each ρ at one α."""
    side = _COMPARED_AT
    sizes = [*((a, side) for a in _ALPHAS), *((1.0, r) for r in reversed(RESOLUTIONS) if r != side)]
    made = [Network(label=f"{a:g} MobileNet-{r}", alpha=a, resolution=r) for a, r in sizes]
    others = (
        Network(label=f"Shallow MobileNet-{side}", alpha=1.0, resolution=side, is_shallow=True),
        Network(label=f"Conv MobileNet-{side}", alpha=1.0, resolution=side, is_separable=False),
    )
    return [*made[: len(_ALPHAS)], *others, *made[len(_ALPHAS) :]]


def run(
    folder: Path,
    *,
    steps: int,
    runs: int = 1,
    batch: int = 64,
    chosen: Sequence[Network] | None = None,
    progress: Progress = no_progress,
) -> Results:
    """Train every network ``runs`` times with other seeds and measure it; what ``folder`` holds is not trained again.

    Args:
        folder: Where the results are kept as they come; it is made.
        steps: Training steps of each.
        runs: Trainings of each.
        batch: Pictures per step.
        chosen: Some networks; None for all.
        progress: Called as it goes on.

    Raises:
        TrainingError: scikit-learn is missing, or ``folder`` holds results of other settings.
        OutputError: The results cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, todo = folder / RESULTS, list(chosen or networks())
    done = _read(path, steps, batch)
    for number, (one, seed) in enumerate([(one, seed) for one in todo for seed in range(runs)]):
        known = done.get(one.label, ())
        if seed < len(known):
            continue
        progress(f"{one.label}, training {seed + 1}", number / (len(todo) * runs))
        done[one.label] = (*known, _trained(one, steps, batch, seed))
        results = Results(steps=steps, batch=batch, rows=tuple(_results(todo, done)))
        write_atomically(path, to_json(results.to_dict()))
    return Results(steps=steps, batch=batch, rows=tuple(_results(todo, done)))


def _trained(network: Network, steps: int, batch: int, seed: int) -> float:
    """Train once; the top-1 accuracy on digits that were not learned from."""
    torch.manual_seed(seed)
    learned, tested = Digits.load(seed)
    recipe = Recipe(steps=steps, batch=batch, peak_rate=_RATE, seed=seed)
    trainer = Trainer(SingleTask(network.build(), [network.resolution], smoothing=recipe.smoothing), learned, recipe)
    for _ in trainer.steps():
        pass
    preprocessing, device = Preprocessing(), torch.device("cpu")
    examples = [learned.example(number) for number in range(_SETTLED_ON)]
    recalibration = Recalibration(examples=examples, preprocessing=preprocessing, device=device)
    ready, _ = recalibrate_batch_norm(trainer.average, [network.resolution], recalibration)
    measured_on = [tested.example(number) for number in range(_TESTED)]
    return accuracy(ready, measured_on, network.resolution, preprocessing=preprocessing, device=device)


def _results(todo: Sequence[Network], done: Mapping[str, tuple[float, ...]]) -> Iterator[Result]:
    for one in todo:
        if one.label in done:
            layers = layer_costs(one.build(), one.resolution)
            yield Result(
                label=one.label,
                alpha=one.alpha,
                resolution=one.resolution,
                mult_adds=sum(layer.mult_adds for layer in layers),
                parameters=sum(layer.weights for layer in layers),
                accuracies=done[one.label],
            )


def _read(path: Path, steps: int, batch: int) -> dict[str, tuple[float, ...]]:
    if not path.exists():
        return {}
    values = read_json(path, "results of experiments", TrainingError)
    try:
        found = {row["label"]: tuple(map(float, row["accuracies"])) for row in values["rows"]}
        is_same = (values["steps"], values["batch"]) == (steps, batch)
    except (KeyError, TypeError, ValueError) as reason:
        raise TrainingError(f"Results {path} are damaged ({reason}): remove the file to repeat them.") from reason
    if not is_same:
        raise TrainingError(
            f"{path} holds results of {values['steps']} steps of {values['batch']} pictures, asked are {steps} of "
            f"{batch}: choose another folder, or the same settings."
        )
    return found
