from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convert.data.dataset import read_dataset
from convert.export.tflite import to_tflite
from convert.model import MobileNetV1
from convert.quantization import FoldedNetwork, QuantizedNetwork, equalize, fold, quantize
from convert.training import qat
from convert.training.evaluation import Recalibration, recalibrate_batch_norm
from convert.training.qat import FakeQuantNetwork, Qat, fine_tuned
from convert.training.recipe import Recipe
from convert.training.source import normalized
from convert.training.tasks import SingleTask, Teacher
from convert.training.trainer import Trainer
from edge.vision.preprocess import Frame, Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec
from tests.convert.training.conftest import CLASSES, Shapes, build, shape_of

SIDE = 64
RECIPE = Recipe(steps=30, batch=16, peak_rate=0.05, weight_decay=0.0, smoothing=0.0, average=0.8)


def pixels_of(count: int, seed: int) -> NDArray[np.uint8]:
    spec = TensorSpec(shape=(1, SIDE, SIDE, 3), dtype="uint8")
    return np.stack([Preprocessor(Preprocessing(), spec).pixels(Shapes(seed).example(n)[0]) for n in range(count)])


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    torch.manual_seed(0)
    trainer = Trainer(SingleTask(build(0.25), [SIDE]), Shapes(), Recipe(steps=30, batch=24, average=0.8))
    list(trainer.steps())
    examples = [Shapes().example(n) for n in range(96)]
    recalibration = Recalibration(examples=examples, preprocessing=Preprocessing(), device=torch.device("cpu"))
    model, _ = recalibrate_batch_norm(trainer.average, [SIDE], recalibration)
    assert isinstance(model, MobileNetV1)
    return equalize(fold(model), pixels_of(16, 1), Preprocessing())


@pytest.fixture(scope="module")
def integers(network: FoldedNetwork) -> QuantizedNetwork:
    return quantize(network, pixels_of(16, 1), Preprocessing())


def int8_logits(integers: QuantizedNetwork, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """The logits as the integer network itself computes them, from pixels as the device hands them over."""
    levels = torch.from_numpy(pixels.astype(np.int16) - 128).permute(0, 3, 1, 2).to(torch.int8)
    for layer in integers.layers:
        if layer.kind == "classifier":
            levels = levels.float().mean(dim=(2, 3), keepdim=True).round().to(torch.int8)
        levels = layer.run(levels)
    return (levels.flatten(1).float() - integers.logits.zero_point) * integers.logits.scale


def test_the_loop_rounds_as_the_integer_network_does(network: FoldedNetwork, integers: QuantizedNetwork) -> None:
    pixels = pixels_of(8, 2)
    x = normalized(pixels, Preprocessing(), torch.device("cpu"))
    with torch.no_grad():
        found, wanted = FakeQuantNetwork(network, integers)(x), int8_logits(integers, pixels)
    levels = (found - wanted).abs() / integers.logits.scale
    assert levels.mean() <= 0.5
    # Where floats tie between two levels, processors round apart, and the classifier multiplies that.
    assert (levels > 1.5).float().mean() <= 0.1 and levels.max() <= 8


def test_nothing_learned_is_the_quantizers_own_integers(network: FoldedNetwork, integers: QuantizedNetwork) -> None:
    same = FakeQuantNetwork(network, integers).integers()
    for ours, theirs in zip(same.layers, integers.layers, strict=True):
        assert np.array_equal(ours.weight, theirs.weight)
        assert np.abs(ours.bias.astype(np.int64) - theirs.bias).max() <= np.abs(theirs.bias).max() * 1e-6 + 1


class Few(Shapes):
    """The same sixteen pictures again and again, unlike those that the network has learned from."""

    def example(self, number: int) -> tuple[Frame, int]:
        return Shapes(3).example(number % 16)


def test_fine_tuning_lowers_the_loss_on_what_it_learns_from(network: FoldedNetwork, integers: QuantizedNetwork) -> None:
    examples, teacher = [Few().example(n) for n in range(16)], qat._Float(network)
    task = SingleTask(FakeQuantNetwork(network, integers), [SIDE], teacher=Teacher(teacher, SIDE, 0.7))
    trainer = Trainer(task, Few(), RECIPE, preprocessing=Preprocessing())

    def loss() -> float:
        return qat._loss(trainer.average, teacher, examples, SIDE, Preprocessing())[0]

    before = loss()
    list(trainer.steps())
    assert loss() < before


def test_what_helps_is_taken_and_can_be_written(
    network: FoldedNetwork, integers: QuantizedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([(1.0, 1.0), (0.9, 0.9)])
    monkeypatch.setattr(qat, "_loss", lambda *_: next(losses))
    tuned = fine_tuned(network, integers, Shapes(3), [], RECIPE)
    changed = sum(int((a.weight != b.weight).sum()) for a, b in zip(tuned.layers, integers.layers, strict=True))
    assert changed > 100
    assert to_tflite(tuned)[4:8] == b"TFL3"


@pytest.mark.parametrize("after", [(1.1, 0.9), (0.9, 1.1), (1.0, 1.0)])
def test_what_is_farther_from_float_or_from_the_labels_is_not_taken(
    after: tuple[float, float],
    network: FoldedNetwork,
    integers: QuantizedNetwork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = iter([(1.0, 1.0), after])
    monkeypatch.setattr(qat, "_loss", lambda *_: next(losses))
    assert fine_tuned(network, integers, Shapes(3), [], replace(RECIPE, steps=1)) is integers


def test_what_does_not_help_is_not_taken(network: FoldedNetwork, integers: QuantizedNetwork) -> None:
    guard = [Shapes(7).example(n) for n in range(32)]
    spoilt = [(frame, (label + 1) % CLASSES) for frame, label in guard]
    wild = Recipe(steps=2, batch=16, peak_rate=40.0, weight_decay=0.0, average=0.1)
    assert fine_tuned(network, integers, Shapes(3), spoilt, wild) is integers


def test_classes_are_found_by_their_names(network: FoldedNetwork, integers: QuantizedNetwork, tmp_path: Path) -> None:
    for number in range(18):
        folder = tmp_path / ("disc", "square", "other")[number % 3]
        folder.mkdir(exist_ok=True)
        name = f"{chr(97 + number)}.png"
        cv2.imwrite(str(folder / name), shape_of(np.random.default_rng(number), number % 3))
    tuner = Qat(dataset=read_dataset(tmp_path), labels=("square", "disc", "cross"), epochs=0.1)
    found = {tuner.dataset.labels[item.label]: tuner._index(item) for item in tuner.dataset.train}
    assert found == {"disc": 1, "square": 0, "other": -1}
    assert tuner.tune(network, integers).variant == integers.variant
