from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from convert.checkpoints import Checkpoint
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import AccuracyError, CalibrationError, ConversionError
from convert.model import MobileNetV1, ModelConfig
from convert.pipeline.running import compare
from convert.pipeline.variant import emit
from edge.errors import BackendError
from tests.conftest import draw
from tests.convert.closeness import closeness, features_of
from tests.convert.conftest import CLASSES, LABELS


def test_every_format_is_run_and_compared_with_float(
    checkpoint: Checkpoint, data: CalibrationData, tmp_path: Path
) -> None:
    files = emit(checkpoint, 64, data, targets=("tflite", "onnx", "onnx-int8_full"), min_agreement=0)
    assert [file.file_name.removeprefix("mobilenet_v1_0.25_64_") for file in files] == [
        "int8.tflite",
        "fp32.onnx",
        "fp16.onnx",
        "int8.onnx",
        "int8_full.onnx",
    ]
    tflite, fp32, fp16, int8, full = files
    assert fp32.accuracy.agreement == 1.0
    assert fp16.accuracy.confident_agreement == 1.0
    assert min(file.accuracy.agreement or 0 for file in (tflite, int8, full)) > 2 / CLASSES, (
        "twice as often as by chance"
    )
    pixels = data.held_out.pixels[64]
    with torch.no_grad():
        x = torch.from_numpy(data.preprocessing.real(pixels)).permute(0, 3, 1, 2)
        assert closeness(features_of(tflite.content, pixels, tmp_path), checkpoint.model.features(x).numpy()) > 0.7
    assert (tflite.accuracy.pictures, tflite.accuracy.labelled, tflite.accuracy.top1) == (12, 0, None)
    assert [file.input.dtype for file in files] == ["int8", "float32", "float16", "float16", "float32"]
    assert {file.input.shape for file in (fp32, fp16, int8, full)} == {(1, 3, 64, 64)}


def test_a_file_that_two_targets_name_is_written_once(checkpoint: Checkpoint, data: CalibrationData) -> None:
    files = emit(checkpoint, 64, data, targets=("onnx-fp16", "onnx"), min_agreement=0)
    assert [file.precision for file in files] == ["fp16", "fp32", "int8"]


def test_one_checkpoint_serves_every_resolution(checkpoint: Checkpoint, data: CalibrationData) -> None:
    small, large = (emit(checkpoint, r, data, min_agreement=0)[0] for r in (64, 96))
    assert (small.variant.resolution, large.variant.resolution) == (64, 96)
    assert small.content != large.content


def test_a_file_that_disagrees_is_refused(checkpoint: Checkpoint, data: CalibrationData) -> None:
    with pytest.raises(AccuracyError) as error:
        emit(checkpoint, 64, data, min_agreement=1.01)
    assert str(error.value).startswith("mobilenet_v1_0.25_64_int8.tflite agrees with float on ")
    assert "of 12 held-out pictures, expected 101.0% or more." in str(error.value)


def test_a_written_file_can_be_compared_later(
    checkpoint: Checkpoint, data: CalibrationData, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(emit(checkpoint, 96, data, targets=("onnx",), min_agreement=0)[0].content)
    accuracy = compare(path, checkpoint, pictures)
    assert (accuracy.agreement, accuracy.pictures) == (1.0, 24)


def test_a_broken_file_cannot_be_compared(checkpoint: Checkpoint, pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises(BackendError, match="cannot load"):
        compare(path, checkpoint, pictures)


def test_other_pictures_can_be_measured_on(pictures: Path, tmp_path: Path) -> None:
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f"{seed}x.png"), draw(100 + seed))
    (tmp_path / "again.png").symlink_to(next(pictures.glob("*.png")))
    data = load_calibration_data(pictures, [32], classes=CLASSES, verify_on=tmp_path)
    assert len(data.calibration.paths) == 24
    assert [path.name for path in data.held_out.paths] == ["0x.png", "1x.png", "2x.png"]


def test_pictures_calibrated_on_are_never_measured_on(pictures: Path) -> None:
    with pytest.raises(CalibrationError) as error:
        load_calibration_data(pictures, [32], classes=CLASSES, verify_on=pictures)
    assert str(error.value) == (
        f"Every picture of {pictures} is calibrated on: expected others to measure on, or none."
    )


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        (("background", *LABELS), "off by one: background class?"),
        (LABELS[:-1], "off by one: background class?"),
        (LABELS[:2], "they belong to another model."),
    ],
)
def test_labels_of_the_wrong_length_are_explained(pictures: Path, labels: tuple[str, ...], cause: str) -> None:
    with pytest.raises(CalibrationError) as error:
        load_calibration_data(pictures, [32], labels=labels, classes=CLASSES)
    assert str(error.value).startswith(f"There are {len(labels)} labels for a network of 7 classes: {cause}")


def test_a_network_of_one_class_is_refused(checkpoint: Checkpoint, data: CalibrationData) -> None:
    lonely = replace(checkpoint, model=MobileNetV1(ModelConfig(alpha=0.25, classes=1)).eval())
    with pytest.raises(ConversionError) as refused:
        emit(lonely, 64, data, min_agreement=0)
    assert str(refused.value) == (
        f"{checkpoint.path} has one class, whose probability is always 1: expected two or more. "
        "Train it with a class for everything else."
    )
