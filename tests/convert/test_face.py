"""The names that a program uses: each call does what the command of that name does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convert
from convert.checkpoints import Checkpoint
from convert.errors import AccuracyError, UntrainedError
from convert.model import MobileNetV1, ModelConfig
from edge.errors import EdgeError, ExistsError
from tests.convert.conftest import CLASSES, LABELS, lively

LENIENT = convert.BundleOptions(min_agreement=0.0, author="me")


def test_every_name_is_there_and_importing_loads_nothing_heavy() -> None:
    assert len(convert.__all__) == len({id(getattr(convert, name)) for name in convert.__all__}) and convert.__version__
    script = "import sys, convert; print(sorted({'torch', 'numpy', 'cv2', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="module 'convert' has no attribute 'bundle'"):
        _ = convert.bundle  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"checkpoints": []}, "No checkpoint was given: a bundle needs one for each α."),
        ({"resolutions": [32, 32]}, "duplicate resolution in 32, 32: name each once."),
        ({"targets": ["coreml"]}, "invalid targets ['coreml']: expected some of tflite, onnx, onnx-fp32, onnx-fp16, "),
        ({"targets": []}, "invalid targets []: expected some of tflite, "),
        ({"labels": ["a\nb", "c"]}, "invalid label 'a\\nb': expected one line of text."),
        ({"labels": ["a", ""]}, "invalid label '': expected one line of text."),
        ({"labels": [0, 1]}, "invalid label 0: expected one line of text."),
    ],
)
def test_what_no_bundle_can_be_made_of_is_refused_at_once(
    checkpoint: Checkpoint, tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    given = {"checkpoints": checkpoint, "labels": LABELS, "resolutions": [32], **wrong}
    with pytest.raises(EdgeError) as refused:
        convert.write_bundle(out=tmp_path / "mine", **given)
    assert str(refused.value).startswith(message)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: convert.BundleOptions(min_agreement=85), "min_agreement must be between 0 and 1, got 85."),
        (lambda: convert.CheckOptions(min_agreement=float("nan")), "min_agreement must be between 0 and 1, got nan."),
        (lambda: convert.ConversionOptions(temperature=0), "temperature must be between 0.05 and 20, got 0."),
        (lambda: convert.TrainingOptions(epochs=0), "epochs must be between 0.01 and 100000, got 0."),
        (lambda: convert.TrainingOptions(workers=True), "workers must be between 1 and 256, got True."),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(build: Callable[[], object], message: str) -> None:
    with pytest.raises(EdgeError) as refused:
        build()
    assert str(refused.value) == message


def test_a_bundle_is_written_by_one_call_and_comes_back_open(
    checkpoint: Checkpoint, pictures: Path, labels_file: Path, tmp_path: Path
) -> None:
    seen: list[tuple[str, float]] = []
    bundle = convert.write_bundle(
        str(checkpoint.path),
        targets="tflite",
        calibration=str(pictures),
        labels=str(labels_file),
        out=str(tmp_path / "mine"),
        resolutions=[64, 32],
        options=LENIENT,
        progress=lambda stage, share: seen.append((stage, share)),
    )
    assert [entry.variant.name for entry in bundle.variants] == ["mobilenet_v1_0.25_64", "mobilenet_v1_0.25_32"]
    assert bundle.labels == LABELS and bundle.manifest.name == "mine"
    shares = [share for _, share in seen]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert seen[0][0] == "reading pictures" and any("ρ=32" in stage for stage, _ in seen)
    with pytest.raises(ExistsError):
        convert.write_bundle([checkpoint], tmp_path / "mine", labels=LABELS, calibration=pictures, options=LENIENT)


def test_one_model_is_written_verified_and_the_same_as_its_integers(
    checkpoint: Checkpoint, pictures: Path, tmp_path: Path
) -> None:
    out, options = tmp_path / "m.tflite", convert.TfliteOptions(min_agreement=0.0)
    emitted = convert.write_tflite(checkpoint, out, resolution=32, calibration=pictures, options=options)
    assert out.read_bytes() == emitted.content
    found = convert.verify(out, checkpoint, pictures, options=convert.CheckOptions(min_agreement=0.0))
    assert found.pictures == 24
    other = tmp_path / "other.safetensors"
    convert.save_checkpoint(lively(ModelConfig(alpha=0.25, classes=CLASSES), seed=9), other)
    with pytest.raises(AccuracyError):
        convert.verify(out, other, pictures, options=convert.CheckOptions(min_agreement=1.0))
    network = convert.quantize(checkpoint, 32, calibration=pictures)
    assert network.classes == CLASSES and convert.to_tflite(network)[4:8] == b"TFL3"


def test_a_network_that_never_learned_is_refused(pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "fresh.safetensors"
    convert.save_checkpoint(MobileNetV1(ModelConfig(alpha=0.25, classes=CLASSES)), path)
    with pytest.raises(UntrainedError, match="every batch norm still has mean 0 and variance 1"):
        convert.quantize(path, 32, calibration=pictures)
    options = convert.QuantizationOptions(allow_untrained=True)
    assert convert.quantize(path, 32, calibration=pictures, options=options).classes == CLASSES


def test_a_network_that_says_the_same_of_every_picture_is_refused(
    model: MobileNetV1, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "constant.safetensors"
    constant = MobileNetV1(model.config)
    constant.load_state_dict(model.state_dict())
    constant.classifier.bias.data[3] += 1000
    convert.save_checkpoint(constant, path)
    with pytest.raises(UntrainedError, match="of 12 held-out pictures it takes each for class 3"):
        convert.quantize(path, 32, calibration=pictures)


def test_layers_are_examined(checkpoint: Checkpoint, pictures: Path) -> None:
    report = convert.examine_layers(checkpoint, 32, calibration=pictures)
    assert len(report.layers) == 28 and np.isfinite(report.divergence)
