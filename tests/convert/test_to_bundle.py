import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from convert.data.calibration_data import CalibrationData
from convert.errors import AccuracyError, CheckpointError
from convert.model import ModelConfig
from convert.pipeline.bundle import BundlePlan, build_bundle
from convert.pipeline.golden import mistakes
from edge.bundles.bundle import open_bundle
from edge.bundles.variant import Variant
from edge.errors import OutputError, SelfTestError
from edge.inference.classifier import Classifier
from edge.inference.selftest import self_test
from tests.conftest import draw
from tests.convert.conftest import BUILT_AT, CLASSES, LABELS, lively


def test_a_bundle_is_written_opened_and_classifies(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert [entry.variant.name for entry in bundle.variants] == ["mobilenet_v1_0.25_96", "mobilenet_v1_0.25_64"]
    assert bundle.labels == LABELS
    assert [(a.format, a.precision, a.input and a.input.shape) for a in bundle.variants[0].artifacts] == [
        ("tflite", "int8", (1, 96, 96, 3)),
        ("onnx", "fp32", (1, 3, 96, 96)),
        ("onnx", "fp16", (1, 3, 96, 96)),
        ("onnx", "int8", (1, 3, 96, 96)),
    ]
    assert bundle.variants[0].mult_adds == Variant(0.25, 96).mult_adds(CLASSES).total
    answers = []
    for backend in ("litert", "onnxruntime", "onnxruntime:fp16", "onnxruntime:int8"):
        with Classifier(bundle, Variant(0.25, 96), backend=backend) as classifier:
            prediction = classifier.classify(draw(7))
            answers.append({guess.class_id: guess.probability for guess in prediction.guesses})
            assert 0.9 < sum(guess.probability for guess in prediction.guesses) <= 1.01
    assert answers[0].keys() & answers[1].keys()


def test_a_refused_variant_leaves_nothing_behind(plan: BundlePlan, data: CalibrationData, tmp_path: Path) -> None:
    with pytest.raises(AccuracyError):
        build_bundle(replace(plan, min_agreement=1.01), data, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(
    plan: BundlePlan, data: CalibrationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as error:
        build_bundle(replace(plan, resolutions=(64,), targets=("onnx",)), data, tmp_path / "tiny")
    assert str(error.value) == (
        f"Cannot write {tmp_path / 'tiny'}: no space left on device on {tmp_path}. "
        "Free some space; nothing half-written was kept."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_replaced_only_when_asked(plan: BundlePlan, data: CalibrationData, tmp_path: Path) -> None:
    small = replace(plan, resolutions=(64,), targets=("onnx",))
    build_bundle(small, data, tmp_path / "tiny")
    with pytest.raises(OutputError) as error:
        build_bundle(small, data, tmp_path / "tiny")
    expected = f"{tmp_path / 'tiny'} already exists: expected a name that is free."
    assert str(error.value) == expected
    build_bundle(replace(small, name="other"), data, tmp_path / "tiny", replace=True)
    assert open_bundle(tmp_path / "tiny").name == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_that_is_no_bundle_is_never_replaced(plan: BundlePlan, data: CalibrationData, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError) as error:
        build_bundle(plan, data, tmp_path, replace=True)
    assert str(error.value) == f"{tmp_path} is not a bundle, and only bundles are replaced: choose another name."
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_same_material_gives_the_same_bundle(
    tiny_bundle: Path, plan: BundlePlan, data: CalibrationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", BUILT_AT)
    again = tmp_path / "again"
    build_bundle(plan, data, again)
    a, b = ({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} for folder in (tiny_bundle, again))
    assert a == b


def test_a_bundle_has_golden_pictures_and_tells_a_wrong_preprocessing(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    entry = bundle.variants[0]
    with Classifier(bundle, entry.variant) as right:
        assert self_test(bundle, right)
        for name, recipe in mistakes(bundle.manifest.preprocessing).items():
            wrong = Classifier.of_backend(right.backend, bundle.labels, recipe, variant=entry.variant)
            wrong.model_sha256 = right.model_sha256
            with pytest.raises(SelfTestError, match="The preprocessing gives"):
                self_test(bundle, wrong)
                pytest.fail(name)


def test_checkpoints_of_other_classes_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_checkpoint(lively(ModelConfig(alpha=0.5, classes=3)), path)
    with pytest.raises(CheckpointError) as error:
        BundlePlan(
            name="x",
            checkpoints=(checkpoint, load_checkpoint(path)),
            resolutions=(64,),
            labels=LABELS,
            targets=("tflite",),
            min_agreement=0,
        )
    assert str(error.value) == (
        f"{path} has 3 classes, {checkpoint.path} has 7: the checkpoints of one bundle must have the same classes."
    )


def test_two_checkpoints_of_one_width_are_refused(plan: BundlePlan, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError) as error:
        replace(plan, checkpoints=(checkpoint, checkpoint))
    assert str(error.value) == (
        "Two checkpoints have α=0.25 at ρ=96: a bundle holds one for each. Name the resolutions of each: FILE@224."
    )


def test_a_width_may_have_another_checkpoint_for_each_resolution(
    plan: BundlePlan, checkpoint: Checkpoint, data: CalibrationData, tmp_path: Path
) -> None:
    save_checkpoint(lively(checkpoint.config, seed=5), tmp_path / "other.safetensors")
    other = replace(load_checkpoint(tmp_path / "other.safetensors"), only_at=(64,))
    both = replace(plan, checkpoints=(replace(checkpoint, only_at=(96,)), other), targets=("tflite",))
    assert [(c.path, r) for c, r in both.tasks] == [(checkpoint.path, 96), (other.path, 64)]
    manifest = build_bundle(both, data, tmp_path / "two")
    assert [entry.variant.resolution for entry in manifest.variants] == [96, 64]
    assert [c["only_at"] for c in manifest.source["checkpoints"]] == [[96], [64]]
    with pytest.raises(CheckpointError) as error:
        replace(plan, checkpoints=(replace(checkpoint, only_at=(32,)),))
    assert (
        str(error.value)
        == f"{checkpoint.path} is for ρ=32, and the bundle for ρ=96, 64: omit it, or add a resolution of its own."
    )


def test_checkpoints_that_see_pixels_differently_are_refused(
    plan: BundlePlan, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    save_checkpoint(lively(ModelConfig(alpha=0.5, classes=CLASSES, mean=(0.0, 0.0, 0.0))), tmp_path / "other")
    with pytest.raises(CheckpointError) as error:
        replace(plan, checkpoints=(checkpoint, load_checkpoint(tmp_path / "other")))
    assert str(error.value).endswith("less (127.5, 127.5, 127.5): a bundle prepares its pictures in one way.")
