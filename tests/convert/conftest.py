"""A small trained-like network and what is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import CheckpointError
from convert.model import MobileNetV1, ModelConfig
from convert.pipeline.bundle import BundlePlan, build_bundle
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec
from tests.conftest import draw

CLASSES = 7
BUILT_AT = "1700000000"
"""When ``tiny_bundle`` says that it was built: ``SOURCE_DATE_EPOCH``."""
LABELS = ("red", "green", "blue", "round", "square", "thin", "wide")


def lively(config: ModelConfig, *, seed: int = 0) -> MobileNetV1:
    """Random weights whose batch norms know real statistics, so that answers differ from picture to picture."""
    torch.manual_seed(seed)
    model = MobileNetV1(config)
    spec = TensorSpec(shape=(1, 64, 64, 3), dtype="uint8")
    recipe = Preprocessing(colour_order=config.colour_order, mean=config.mean, std=config.std)
    frames = [Preprocessor(recipe, spec).pixels(draw(1000 + n)) for n in range(24)]
    x = torch.from_numpy(recipe.real(np.stack(frames))).permute(0, 3, 1, 2)
    for unit in model.modules():
        if isinstance(unit, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(unit.bias, 0.5, 0.5)
            unit.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
        features = model.eval().features(x)
        torch.nn.init.normal_(model.classifier.weight, 0, 1.0)
        spread = (features - features.mean(0)) @ model.classifier.weight.T
        model.classifier.weight *= 3 / spread.std()
        model.classifier.bias.copy_(-(features.mean(0) @ model.classifier.weight.T))
    return model


@pytest.fixture(scope="session")
def model() -> MobileNetV1:
    return lively(ModelConfig(alpha=0.25, classes=CLASSES))


@pytest.fixture(scope="session")
def checkpoint(model: MobileNetV1, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(model, path)
    return load_checkpoint(path)


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(LABELS) + "\n")
    return path


@pytest.fixture(scope="session")
def data(pictures: Path) -> CalibrationData:
    return load_calibration_data(pictures, [64, 96], labels=LABELS, classes=CLASSES)


@pytest.fixture(scope="session")
def plan(checkpoint: Checkpoint) -> BundlePlan:
    return BundlePlan(
        name="tiny",
        checkpoints=(checkpoint,),
        resolutions=(96, 64),
        labels=LABELS,
        targets=("tflite", "onnx"),
        min_agreement=0.0,
    )


@pytest.fixture(scope="session")
def tiny_bundle(plan: BundlePlan, data: CalibrationData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of ``plan``, which nobody may change."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", BUILT_AT)
        build_bundle(plan, data, folder)
    return folder


def refusal(path: Path) -> str:
    """Why a checkpoint is not loaded, without its path."""
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


@pytest.fixture(scope="session", autouse=True)
def _no_views() -> Iterator[None]:
    """The dozen pictures of these tests are enough: views of them take ten times as long and are tested apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convert.quantization.quantizer.ENOUGH", 1)
        yield
