"""The command as its users meet it: what it writes, what it refuses, and what it survives."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from convert.checkpoints import load_checkpoint, save_checkpoint
from convert.cli.app import build, main
from convert.errors import UnfinishedRunError
from convert.model import MobileNetV1, ModelConfig
from edge.errors import EdgeError
from tests.commands import run_in_process
from tests.convert.training.conftest import CLASSES, shape_of

SHORT = ("--single", "0.25", "--resolutions", "64,32", "--epochs", "4", "--batch", "12", "--no-flips", "--workers", "1")


def put_shapes(data: Path, count: int = 45) -> Path:
    for number in range(count):
        folder = data / ("disc", "square", "cross")[number % CLASSES]
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{chr(97 + number // 26)}{chr(97 + number % 26)}.png"
        cv2.imwrite(str(folder / name), shape_of(np.random.default_rng(number), number % CLASSES))
    return data


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_shapes(tmp_path_factory.mktemp("shapes"))


def command(*arguments: object) -> list[str]:
    return ["train", *map(str, arguments)]


def run(*arguments: object) -> str:
    """What the command prints; its errors are raised."""
    done = CliRunner().invoke(build(), command(*arguments), catch_exceptions=False)
    return done.output


def refusal(*arguments: object) -> str:
    with pytest.raises(EdgeError) as error:
        run(*arguments)
    return str(error.value)


def start(*arguments: object, processes: int = 1) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", "29617", "-m"]
    return subprocess.Popen(
        [*launcher, "convert", *command(*arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def weights(folder: Path) -> torch.Tensor:
    model = load_checkpoint(folder / "mobilenet_v1_0.25.safetensors").model
    return torch.cat([value.flatten() for value in model.state_dict().values() if value.ndim])


def figures(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a whole run leaves behind."""
    out = tmp_path_factory.mktemp("trained") / "out"
    torch.set_num_threads(1)
    told = run(shapes, "--out", out, *SHORT, "--html", out.parent / "report.html")
    assert "top-1 on 9 held-back" in told and "36 pictures of 3 classes to learn from" in told
    return out


def test_how_each_class_did_is_printed_and_written(trained: Path) -> None:
    page = (trained.parent / "report.html").read_text()
    assert "mobilenet_v1_0.25_64 on 9 held-back pictures" in page and page.count("<td>3</td>") >= 3
    assert "data:image/jpeg" in page or "<h2>The worst" not in page


def test_a_run_leaves_what_the_next_steps_need(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    expected = {"labels.txt", "splits.csv", "metrics.csv", "training.json", "mobilenet_v1_0.25.safetensors"}
    assert names == expected
    assert (trained / "labels.txt").read_text().split() == ["cross", "disc", "square"]
    checkpoint = load_checkpoint(trained / "mobilenet_v1_0.25.safetensors")
    assert set(checkpoint.statistics) == {64, 32}
    report = json.loads((trained / "training.json").read_text())
    assert set(report["top1"]) == {"mobilenet_v1_0.25_64", "mobilenet_v1_0.25_32"}
    rows = figures(trained)
    assert [int(row["step"]) for row in rows] == [10, 12]
    assert all(0 <= float(row["top1"]) <= 1 and float(row["loss"]) > 0 for row in rows)


def test_a_run_killed_at_any_moment_and_resumed_ends_as_one_that_was_not(
    shapes: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(shapes, "--out", out, *SHORT, "--save-every", "0")
    deadline = time.monotonic() + 120
    while not (out / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (out / "state.pt").exists() and not (out / "training.json").exists()
    run(shapes, "--out", out, *SHORT, "--resume")
    assert torch.equal(weights(out), weights(trained))
    assert (out / "metrics.csv").read_text().count("\n") == 3
    assert not (out / "state.pt").exists()


def test_two_processes_learn_what_one_does(shapes: Path, trained: Path, tmp_path: Path) -> None:
    """Batch norm looks at each process's part of a batch by itself, so the weights are near and not the same."""
    out = tmp_path / "out"
    process = start(shapes, "--out", out, *SHORT, processes=2)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert said.count("pictures of 3 classes to learn from") == 1
    losses = [[float(row["loss"]) for row in figures(folder)] for folder in (out, trained)]
    assert losses[0] == pytest.approx(losses[1], abs=0.25)
    ours, theirs = weights(out), weights(trained)
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.9


def test_training_goes_on_from_a_checkpoint_of_other_classes_and_learns_from_a_teacher(
    shapes: Path, trained: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    path = tmp_path / "start.safetensors"
    begin = MobileNetV1(ModelConfig(alpha=0.25, classes=7, bn_eps=1e-5))
    save_checkpoint(begin, path)
    teacher = trained / "mobilenet_v1_0.25.safetensors"
    short = [*SHORT[:5], "0.3", *SHORT[6:]]
    run(shapes, "--out", tmp_path / "out", *short, "--from", path, "--teacher", teacher, "--rate", "1e-9")
    made = load_checkpoint(tmp_path / "out" / "mobilenet_v1_0.25.safetensors")
    assert made.config == ModelConfig(alpha=0.25, classes=CLASSES, bn_eps=1e-5)
    assert torch.allclose(made.model.stem.conv.weight, begin.stem.conv.weight, atol=1e-6)


def test_what_a_run_takes_is_said_beforehand(shapes: Path, tmp_path: Path) -> None:
    told = run(shapes, "--out", tmp_path / "out", *SHORT, "--estimate")
    assert "the classes: cross, disc, square" in told and "training takes about 0:" in told and " GB" in told
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(shapes: Path, trained: Path) -> None:
    before = weights(trained)
    assert "is in use: expected an empty folder" in refusal(shapes, "--out", trained, *SHORT)
    assert torch.equal(weights(trained), before)
    assert "holds the pictures" in refusal(shapes, "--out", shapes, *SHORT, "--force")


def test_there_must_be_something_to_resume(shapes: Path, trained: Path) -> None:
    assert "to resume: start from scratch instead" in refusal(shapes, "--out", trained, *SHORT, "--resume")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--seed", "2"), "seed was 1, and is 2"),
        (("--epochs", "8"), "steps was 12, and is 24"),
        (("--resolutions", "64"), "resolutions was [64, 32], and is [64]"),
    ],
)
def test_a_run_is_resumed_with_its_own_settings_only(
    stopped: Path, shapes: Path, change: tuple[str, str], says: str
) -> None:
    assert says in refusal(shapes, "--out", stopped, *SHORT, "--resume", *change)


@pytest.fixture(scope="module")
def stopped(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose loss became no number."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    told = refusal(shapes, "--out", out, *SHORT, "--rate", "1e30")
    assert "diverged at step" in told and "Try a lower learning rate than 1e+30" in told
    assert "is kept: resume with a lower learning rate" in told
    return out


def test_a_run_that_stops_before_there_is_a_state_leaves_nothing(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        assert (tmp_path / "out/splits.csv").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("convert.training.job.train", interrupted)
    ended = run_in_process(main, "edge-convert", "train", shapes, "--out", tmp_path / "out", *SHORT)
    assert (ended.returncode, (tmp_path / "out").exists()) == (130, False)


def test_a_folder_of_a_run_that_stopped_may_be_gone_on_with(stopped: Path, shapes: Path) -> None:
    with pytest.raises(UnfinishedRunError):
        run(shapes, "--out", stopped, *SHORT)
    output = start(shapes, "--out", stopped, *SHORT).communicate(timeout=100)[0]
    assert "is in use" in output and "--resume continues the training that stopped there" in output


def test_a_state_that_is_damaged_is_told(stopped: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "state.pt").write_bytes((stopped / "state.pt").read_bytes()[:5000])
    assert "damaged or cut short. Start from scratch instead" in refusal(shapes, "--out", out, *SHORT, "--resume")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--single", "0"), "width multiplier"),
        (("--resolutions", "100"), "ρ must be a multiple of 32"),
        (("--resolutions", "small"), "are not numbers"),
        (("--rate", "-1"), "invalid learning rate -1.0"),
        (("--tensorboard", "events"), "TensorBoard is not installed"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    shapes: Path, tmp_path: Path, arguments: tuple[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert says in refusal(shapes, "--out", tmp_path / "out", *SHORT, *arguments)


def test_a_teacher_of_other_classes_and_weights_of_another_width_are_refused(shapes: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_checkpoint(MobileNetV1(ModelConfig(alpha=0.5, classes=7)), path)
    out = tmp_path / "out"
    assert "a teacher must know the same classes" in refusal(shapes, "--out", out, *SHORT, "--teacher", path)
    assert "expected weights of that width" in refusal(shapes, "--out", out, *SHORT, "--from", path)
