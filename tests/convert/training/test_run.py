from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from torch import nn

from convert.errors import TrainingError
from convert.training import run as loop
from convert.training.estimate import training_mb
from convert.training.metrics import Metrics
from convert.training.recipe import Recipe
from convert.training.run import Best, Schedule, in_hours, train
from convert.training.state import StateFile
from convert.training.tasks import SingleTask
from convert.training.trainer import Trainer
from edge.bundles.variant import Variant
from tests.convert.training.conftest import Shapes, build


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the run logs as warnings."""
    messages: list[str] = []
    monkeypatch.setattr(loop._log, "warning", lambda text, *values: messages.append(text % values))
    return messages


OFTEN = Schedule(check_every=2, save_every_s=0.0)


def fresh(steps: int = 6) -> Trainer:
    torch.manual_seed(0)
    return Trainer(SingleTask(build(0.25), [32]), Shapes(), Recipe(steps=steps, batch=4))


def run(trainer: Trainer, schedule: Schedule, folder: Path, top1s: list[float]) -> Best:
    answers = iter(top1s)
    return train(
        trainer,
        schedule,
        state=StateFile(folder / "state.pt", {}),
        metrics=Metrics(folder / "metrics.csv"),
        check=lambda network: next(answers),
    )


def test_the_best_network_that_was_measured_is_kept(tmp_path: Path) -> None:
    trainer = fresh()
    best = run(trainer, OFTEN, tmp_path, [0.3, 0.8, 0.5])
    assert (best.top1, best.step, trainer.step) == (0.8, 4, 6)
    assert all(torch.equal(v, best.network[k]) for k, v in trainer.average.state_dict().items())


def test_training_stops_early_when_it_gains_nothing_more(tmp_path: Path) -> None:
    trainer = fresh(20)
    best = run(trainer, Schedule(check_every=2, patience=2), tmp_path, [0.5, 0.8, 0.7, 0.7])
    assert (best.step, trainer.step) == (4, 8)


def test_a_full_disk_while_saving_is_warned_of_and_costs_neither_the_run_nor_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    run(fresh(2), OFTEN, tmp_path, [0.1])
    before = (tmp_path / "state.pt").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    trainer = fresh()
    run(trainer, OFTEN, tmp_path, [0.1] * 3)
    assert trainer.step == 6 and len(logged) == 7
    assert "no space left on device" in logged[0] and "Training continues" in logged[0]
    assert (tmp_path / "state.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "state.pt"]


class Hungry(Trainer):
    """Needs more than there is."""

    def steps(self) -> Generator[float]:
        raise self.error
        yield 0.0

    error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    "error", [Hungry.error, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_told_with_what_to_change(error: Exception, tmp_path: Path) -> None:
    trainer = Hungry(SingleTask(build(0.25), [32]), Shapes(), Recipe(steps=2, batch=64))
    trainer.error = error
    with pytest.raises(TrainingError, match=r"Not enough memory for batches of 64 pictures: try batches of 32"):
        run(trainer, OFTEN, tmp_path, [])


def test_figures_of_steps_done_again_are_not_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for after, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        metrics = Metrics(path, after_step=after)
        for step in steps:
            metrics.add(step, {"loss": step / 10})
    assert [line.split(",")[0] for line in path.read_text().split()] == ["step", "1", "2", "3", "4"]


@pytest.mark.parametrize(("seconds", "told"), [(5, "0:05"), (725, "12:05"), (4325, "1:12:05")])
def test_times_are_told_in_hours(seconds: float, told: str) -> None:
    assert in_hours(seconds) == told


MEASURED = """
import torch
from edge.board.memory import peak_rss_mb
from convert.training.recipe import Recipe
from convert.training.tasks import SingleTask
from convert.training.trainer import Trainer
from tests.convert.training.conftest import Shapes, build
torch.set_num_threads(1)
list(Trainer(SingleTask(build({alpha}), [{side}]), Shapes(), Recipe(steps=2, batch={batch})).steps())
print(peak_rss_mb())
"""


@pytest.mark.parametrize(("alpha", "side", "batch"), [(1.0, 128, 16), (0.25, 128, 32)])
def test_the_memory_foretold_is_about_that_taken(alpha: float, side: int, batch: int) -> None:
    script = MEASURED.format(alpha=alpha, side=side, batch=batch)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    foretold = training_mb([Variant(alpha, side)], batch, 3)
    assert 0.7 < foretold / float(done.stdout) < 1.4, (foretold, done.stdout)


def test_a_plain_module_can_be_trained(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    trainer = Trainer(SingleTask(network, [32]), Shapes(), Recipe(steps=4, batch=8))
    assert len(list(trainer.steps())) == 4
