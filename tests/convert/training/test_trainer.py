from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert.checkpoints import load_checkpoint
from convert.data.dataset import UNLABELLED
from convert.errors import DivergedError, TrainingError
from convert.training.evaluation import Recalibration, accuracy
from convert.training.family import Family
from convert.training.recipe import Recipe, parameter_groups
from convert.training.results import write_checkpoints
from convert.training.source import Shard
from convert.training.tasks import FamilyTask, SingleTask, Task, Teacher, objective
from convert.training.trainer import Trainer
from edge.bundles.variant import Variant
from edge.vision.preprocess import Frame, Preprocessing
from tests.convert.training.conftest import ALPHAS, CLASSES, Shapes, build

ROOT = Path(__file__).parents[3]

CPU = torch.device("cpu")
SHORT = Recipe(steps=6, batch=8)


def family_task(seed: int = 0) -> FamilyTask:
    torch.manual_seed(seed)
    return FamilyTask(Family(build, ALPHAS), (64, 32), smoothing=0.05, seed=seed)


def single_task(seed: int = 0) -> SingleTask:
    torch.manual_seed(seed)
    return SingleTask(build(0.25), (64, 32), seed=seed)


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def trained(task: Task, recipe: Recipe = SHORT, **options: int) -> Trainer:
    trainer = Trainer(task, Shapes(), recipe, **options)  # type: ignore[arg-type]
    assert len(list(trainer.steps())) == recipe.steps
    return trainer


@pytest.fixture(scope="module")
def learned() -> Trainer:
    """A family that has learned to tell the shapes apart."""
    return trained(family_task(), Recipe(steps=48, batch=24, average=0.9))


def test_every_member_learns_and_is_an_ordinary_checkpoint(learned: Trainer, tmp_path: Path) -> None:
    fresh = [Shapes(seed=5).example(n) for n in range(90)]
    recalibration = Recalibration(
        examples=[Shapes().example(n) for n in range(96)], preprocessing=Preprocessing(), device=CPU
    )
    accuracies = write_checkpoints(learned.average, (64, 32), recalibration, tmp_path, fresh)
    assert list(accuracies) == [Variant(alpha, side) for alpha in ALPHAS for side in (64, 32)]
    assert min(accuracies.values()) > 0.6
    for variant, top1 in accuracies.items():
        checkpoint = load_checkpoint(tmp_path / f"mobilenet_v1_{variant.alpha:.2f}.safetensors")
        network, side = checkpoint.at(variant.resolution), variant.resolution
        assert accuracy(network, fresh, side, preprocessing=Preprocessing(), device=CPU) == top1


@pytest.mark.parametrize("task", [family_task, single_task])
def test_the_same_seed_gives_the_same_weights_whatever_the_threads(task: Callable[[int], Task]) -> None:
    first, second, other = (trained(task(seed), workers=n) for seed, n in ((0, 1), (0, 3), (1, 1)))
    assert torch.equal(weights(first.average), weights(second.average))
    assert not torch.equal(weights(first.average), weights(other.average))


@pytest.mark.parametrize("task", [family_task, single_task])
def test_a_run_that_goes_on_from_a_state_ends_as_one_that_never_stopped(task: Callable[[], Task]) -> None:
    whole = trained(task())
    stopped = Trainer(task(), Shapes(), SHORT)
    for _ in stopped.steps():
        if stopped.step == 3:
            break
    other = Trainer(task(), Shapes(), SHORT)
    other.restore(stopped.state())
    assert len(list(other.steps())) == 3
    assert torch.equal(weights(other.average), weights(whole.average))
    assert torch.equal(weights(other.task.network), weights(whole.task.network))


def test_each_step_teaches_the_largest_and_every_width_and_in_time_all() -> None:
    torch.manual_seed(0)
    task = FamilyTask(Family(build, (1.0, 0.5, 0.25)), (96, 64, 32))
    seen = set()
    for step in range(60):
        largest, *others = task.members(step)
        assert largest == (1.0, 96) and largest not in others
        assert [alpha for alpha, _ in others] == [1.0, 0.5, 0.25]
        assert {side for _, side in others} == {96, 64, 32}
        assert task.resolutions(step) == [side for _, side in task.members(step)]
        seen.update(task.members(step))
    assert len(seen) == 9, "all variants"


class Spoilt(Shapes):
    """Pictures that a network cannot learn from: the label is none."""

    def example(self, number: int) -> tuple[Frame, int]:
        return super().example(number)[0], UNLABELLED


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights() -> None:
    task = single_task()
    trainer = Trainer(task, Shapes(), Recipe(steps=5, batch=8))
    steps = trainer.steps()
    next(steps)
    with torch.no_grad():
        next(iter(task.network.parameters())).fill_(float("inf"))
    with pytest.raises(DivergedError, match=r"diverged at step 2: the loss is nan .* Try a lower learning rate"):
        next(steps)
    assert trainer.step == 1 and weights(trainer.average).isfinite().all()


def test_a_batch_that_does_not_divide_among_the_processes_is_refused() -> None:
    with pytest.raises(TrainingError, match="A batch of 8 pictures does not divide among 3 processes"):
        Trainer(single_task(), Shapes(), SHORT, shard=Shard(0, 3))


def test_the_processes_share_a_batch() -> None:
    numbers = [list(Shard(rank, 2).numbers(3, 8)) for rank in (0, 1)]
    assert numbers[0] + numbers[1] == list(Shard().numbers(3, 8)) == list(range(24, 32))


def test_depthwise_filters_norms_and_biases_do_not_decay() -> None:
    network = build(0.25)
    decaying, others = parameter_groups(network, 0.1)
    names = {id(p): n for n, p in network.named_parameters()}
    assert decaying["weight_decay"] == 0.1 and others["weight_decay"] == 0
    kept = {names[id(p)] for p in others["params"]}
    assert {"blocks.0.0.conv.weight", "stem.bn.weight", "classifier.bias"} <= kept
    assert {"stem.conv.weight", "blocks.0.1.conv.weight", "classifier.weight"} <= set(names.values()) - kept
    assert len(kept) + len(decaying["params"]) == len(names)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(steps=100, peak_rate=1.0, warmup=0.1)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] < 0.2 and int(np.argmax(rates)) == 10 and rates[-1] < 0.01


def test_growing_begins_with_smaller_pictures() -> None:
    recipe = Recipe(steps=100, growth=((0.3, 0.5), (0.6, 0.75)))
    assert [recipe.scaled(224, step) for step in (0, 30, 60)] == [112, 160, 224]


def test_a_teacher_counts_for_all_where_there_is_no_label() -> None:
    logits, soft = torch.randn(4, CLASSES), torch.full((4, CLASSES), 1 / CLASSES)
    unknown, known = torch.full((4,), UNLABELLED), torch.zeros(4, dtype=torch.long)
    alone = objective(logits, known, soft, 1.0, 0.0)
    assert torch.allclose(objective(logits, unknown, soft, 0.25, 0.0), alone)
    mixed = 0.25 * alone + 0.75 * objective(logits, known, None, 0.0, 0.0)
    assert torch.allclose(objective(logits, known, soft, 0.25, 0.0), mixed)


def test_a_network_learns_from_a_teacher_without_labels() -> None:
    torch.manual_seed(3)
    teacher = Teacher(build(0.5).eval(), 64)
    torch.manual_seed(0)
    task = SingleTask(build(0.25), (32,), teacher=teacher)
    assert task.resolutions(0) == [32, 64]
    trainer = Trainer(task, Spoilt(), SHORT)
    assert np.isfinite(list(trainer.steps())).all()


FAMILY_OF_TWO_PROCESSES = """
import os, torch
from pathlib import Path
from convert.training.distributed import joined
from convert.training.recipe import Recipe
from convert.training.family import Family
from convert.training.tasks import FamilyTask
from convert.training.trainer import Trainer
from tests.convert.training.conftest import Shapes, build

torch.manual_seed(0)
with joined(torch.device("cpu")) as shard:
    trainer = Trainer(FamilyTask(Family(build, (0.5, 0.25)), (64, 32)), Shapes(), Recipe(steps=3, batch=8), shard=shard)
    list(trainer.steps())
    values = torch.cat([p.detach().flatten() for p in trainer.task.network.parameters()])
    (Path(__file__).parent / f"weights{os.environ['RANK']}").write_bytes(values.numpy().tobytes())
"""


def test_processes_that_train_a_family_keep_the_same_weights(tmp_path: Path) -> None:
    script = tmp_path / "family.py"
    script.write_text(FAMILY_OF_TWO_PROCESSES)
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29618"}
    environment = os.environ | job | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    both = []
    for rank in ("0", "1"):
        ranked = environment | {"RANK": rank, "LOCAL_RANK": rank}
        command = [sys.executable, str(script)]
        both.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ranked))
    for process in both:
        said = process.communicate(timeout=200)[1]
        assert process.returncode == 0, said
    first, second = ((tmp_path / f"weights{rank}").read_bytes() for rank in range(2))
    assert first == second
