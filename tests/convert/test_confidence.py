"""Temperature and thresholds: from labelled pictures into the files and the manifest."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import convert
from convert.checkpoints import Checkpoint
from convert.cli.app import build
from convert.data.calibration_data import CalibrationData, load_calibration_data
from convert.errors import CalibrationError
from convert.pipeline.bundle import BundlePlan, build_bundle
from convert.pipeline.temperature import cooled, find_temperature, fit_temperature
from convert.pipeline.variant import emit
from convert.pipeline.verification import Reference, float_answers
from convert.quantization import equalize, fold, quantize
from edge.errors import ConfidenceError
from edge.evaluation.options import ThresholdOptions
from edge.evaluation.result import Evaluation
from tests.conftest import draw
from tests.convert.conftest import CLASSES, LABELS


def drawn_answers(temperature: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network that is as sure as it should be when they are divided by ``temperature``, and the truth."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (count, 5))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return logits * temperature, truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_that_the_answers_were_drawn_with(temperature: float) -> None:
    assert fit_temperature(*drawn_answers(temperature)) == pytest.approx(temperature, rel=0.08)


def test_few_pictures_are_not_believed_too_far() -> None:
    logits, truth = np.array([[3.0, 0.0]] * 5), np.zeros(5, int)
    assert 0.5 < fit_temperature(logits, truth) < 1.0, "all five are right: by themselves, they ask for 0"
    assert fit_temperature(np.repeat(logits, 400, axis=0), np.zeros(2000, int)) < 0.4


def test_cooled_probabilities_are_those_of_the_divided_logits() -> None:
    logits = torch.tensor([[4.0, 1.0, -200.0], [0.0, 0.0, 0.0]])
    wanted = (logits / 2).softmax(dim=1).numpy()
    assert np.allclose(cooled(logits.softmax(dim=1).numpy(), 2.0)[:, :2], wanted[:, :2], atol=1e-6)


def test_too_few_labels_leave_the_network_as_it_is_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    probabilities = np.full((19, 2), 0.5, np.float32)
    reference = Reference(
        pixels=np.zeros((19, 1, 1, 3), np.uint8),
        probabilities=probabilities,
        truth=np.zeros(19, np.int64),
        measured_on="",
    )
    with caplog.at_level(logging.WARNING):
        assert find_temperature(reference, "mobilenet_v1_0.25_64") is None
    assert "mobilenet_v1_0.25_64: only 19 labelled pictures held back" in caplog.text
    assert find_temperature(replace(reference, truth=np.full(19, -1)), "") is None


def test_int8_has_the_same_integers_at_any_temperature(checkpoint: Checkpoint, data: CalibrationData) -> None:
    network, pixels = fold(checkpoint.at(64)), data.calibration.pixels[64]
    plain, warm = (
        quantize(equalize(each, pixels, data.preprocessing), pixels, data.preprocessing)
        for each in (network, network.divided(2.0))
    )
    for one, other in zip(plain.layers, warm.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)
        assert np.array_equal(one.bias, other.bias)
    # How much of the low logits is cut may differ: it is chosen by the probabilities, which the temperature changes.
    tops = [(127 - each.logits.zero_point) * each.logits.scale for each in (plain, warm)]
    assert tops[1] == pytest.approx(tops[0] / 2, abs=warm.logits.scale)


def always_right(labelled: CalibrationData) -> CalibrationData:
    """The same pictures: each shows what the network takes it for."""
    answers = {path: (number - (n % 4 == 0)) % CLASSES for n, (path, number) in enumerate(labelled.truth.items())}
    return replace(labelled, truth=answers)


def never_right(labelled: CalibrationData) -> CalibrationData:
    """The same pictures: two classes always show the other one, and all others are right."""
    answers = always_right(labelled).truth
    one, other = (number for number, _ in Counter(answers.values()).most_common()[-2:])
    shown = {one: other, other: one}
    return replace(labelled, truth={path: shown.get(number, number) for path, number in answers.items()})


@pytest.fixture(scope="module")
def labelled(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> CalibrationData:
    """Eighty pictures, half of them held back; three in four have the class that the network takes them for."""
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(80):
        cv2.imwrite(str(folder / f"{chr(97 + number % 26)}{chr(97 + number // 26)}.png"), draw(300 + number, (64, 64)))
    data = load_calibration_data(folder, [32, 64], labels=LABELS, classes=CLASSES)
    network = fold(checkpoint.at(64))
    answers = float_answers(network, data.held_out, 64, data.preprocessing, {}, "").probabilities.argmax(axis=1)
    truth = {
        path: int(best + (number % 4 == 0)) % CLASSES
        for number, (path, best) in enumerate(zip(data.held_out.paths, answers, strict=True))
    }
    return replace(data, truth=truth)


def test_labelled_pictures_calibrate_every_format_alike(checkpoint: Checkpoint, labelled: CalibrationData) -> None:
    files = emit(checkpoint, 64, labelled, targets=("tflite", "onnx"), min_agreement=0)
    plain = emit(checkpoint, 64, labelled, targets=("tflite", "onnx"), min_agreement=0, temperature=1.0)
    for file, other in zip(files, plain, strict=True):
        assert file.confidence and other.confidence and file.evaluation
        assert file.accuracy.top1 == other.accuracy.top1, "the order of the classes stays"
        assert (file.confidence.temperature, other.confidence.temperature) == (files[0].confidence.temperature, 1.0)  # type: ignore[union-attr]
        assert file.confidence.error_before == other.confidence.error_before
        assert file.confidence.labelled == 40 and file.confidence.error_by_chance
        assert file.evaluation.right <= 40
    fp32, before = files[1].confidence, plain[1].confidence
    assert fp32 and before and fp32.error is not None and before.error is not None
    assert fp32.error < before.error, "a quarter of its sure answers is wrong"
    assert before.error == pytest.approx(before.error_before, abs=0.01)


def test_a_bundle_keeps_it_in_the_manifest_and_tells_how_each_class_did(
    checkpoint: Checkpoint, labelled: CalibrationData, tmp_path: Path
) -> None:
    told: list[Evaluation] = []
    plan = BundlePlan(
        name="tiny", checkpoints=(checkpoint,), resolutions=(64,), labels=LABELS, targets=("tflite",), min_agreement=0.0
    )
    manifest = build_bundle(plan, labelled, tmp_path / "tiny", on_evaluated=told.append)
    (evaluation,) = told
    found = manifest.variants[0].artifacts[0].confidence
    assert found and found.known_kept >= 0.95 and 0 < found.unknown_below < 1
    assert evaluation.model == "mobilenet_v1_0.25_64_int8.tflite" and len(evaluation.known) == 40
    assert sum(one.is_unknown for one in evaluation.known) == sum(
        one.probability < found.unknown_below for one in evaluation.known
    )


def test_pictures_of_nothing_raise_the_threshold(
    checkpoint: Checkpoint, labelled: CalibrationData, tmp_path: Path
) -> None:
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}n.png"), draw(900 + number, (64, 64)))
    data = load_calibration_data(tmp_path, [64], labels=LABELS, classes=CLASSES, nothing=tmp_path)
    assert data.nothing is not None and len(data.nothing.paths) == 20
    (plain,) = emit(checkpoint, 64, labelled, min_agreement=0)
    with_nothing = replace(labelled, nothing=data.nothing)
    (file,) = emit(checkpoint, 64, with_nothing, min_agreement=0, thresholds=ThresholdOptions(false_alarms=0.25))
    assert file.confidence and plain.confidence and file.evaluation
    assert file.confidence.unknown_below > plain.confidence.unknown_below
    assert file.confidence.false_alarms is not None and file.confidence.false_alarms <= 0.25
    assert file.confidence.nothing == 20
    assert file.evaluation.false_alarms == round(20 * file.confidence.false_alarms)
    with pytest.raises(CalibrationError, match="There is no folder"):
        load_calibration_data(tmp_path, [64], classes=CLASSES, nothing=tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match="expected some that show none of the classes"):
        load_calibration_data(tmp_path, [64], classes=CLASSES, nothing=tmp_path / "empty")


def test_a_precision_sets_thresholds_of_classes_or_is_refused_before_anything_is_written(
    checkpoint: Checkpoint, labelled: CalibrationData, tmp_path: Path
) -> None:
    plan = BundlePlan(
        name="tiny", checkpoints=(checkpoint,), resolutions=(64,), labels=LABELS, targets=("tflite",), min_agreement=0.0
    )
    # In floats: what int8 makes of one picture of a class differs from CPU to CPU.
    reachable = replace(plan, targets=("onnx-fp32",), thresholds=ThresholdOptions(precision=0.3))
    easy = build_bundle(reachable, always_right(labelled), tmp_path / "easy")
    found = easy.variants[0].artifacts[0].confidence
    assert found and found.precision == 0.3
    strict = replace(plan, thresholds=ThresholdOptions(precision=1.0))
    with pytest.raises(ConfidenceError) as raised:
        build_bundle(strict, never_right(labelled), tmp_path / "hard")
    assert str(raised.value).startswith("mobilenet_v1_0.25_64_int8.tflite: No threshold gives a precision of 100% to '")
    assert not (tmp_path / "hard").exists()


def test_a_precision_without_labels_is_refused(checkpoint: Checkpoint, data: CalibrationData) -> None:
    with pytest.raises(ConfidenceError, match="0 right answers to labelled pictures are too few for a precision"):
        emit(checkpoint, 64, data, min_agreement=0, thresholds=ThresholdOptions(precision=0.9))


def test_the_class_that_stands_for_nothing_must_be_one(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfidenceError, match="There is no class 'rod': did you mean 'round'"):
        BundlePlan(
            name="tiny",
            checkpoints=(checkpoint,),
            resolutions=(64,),
            labels=LABELS,
            targets=("tflite",),
            min_agreement=0.0,
            background="rod",
        )


def test_unlabelled_pictures_claim_nothing(checkpoint: Checkpoint, data: CalibrationData) -> None:
    (file,) = emit(checkpoint, 64, data, min_agreement=0)
    assert file.confidence is None and file.evaluation is None


def test_a_written_file_is_evaluated_by_class(
    checkpoint: Checkpoint, labelled: CalibrationData, tmp_path: Path
) -> None:
    out, truth = tmp_path / "m.onnx", tmp_path / "truth.json"
    out.write_bytes(emit(checkpoint, 64, labelled, targets=("onnx-fp32",), min_agreement=0)[0].content)
    truth.write_text(json.dumps({path.name: number for path, number in labelled.truth.items()}))
    told: list[Evaluation] = []
    convert.verify(
        out,
        checkpoint,
        labelled.held_out.paths[0].parent,
        labels=LABELS,
        options=convert.CheckOptions(truth=truth, min_agreement=0.0),
        on_evaluated=told.append,
    )
    (evaluation,) = told
    assert len(evaluation.known) == 40 and evaluation.model == "m.onnx"
    assert evaluation.accuracy == pytest.approx(0.75)


def test_a_training_s_table_says_what_held_back_pictures_show(tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.png"), draw(number, (64, 64)))
        rows.append(f"{number}.png,{('green', 'blue')[number % 2]},{'train' if number < 4 else 'validation'}")
    (tmp_path / "splits.csv").write_text("\n".join(rows) + "\n")
    data = load_calibration_data(tmp_path / "splits.csv", [32], labels=LABELS, classes=CLASSES)
    assert {path.name: number for path, number in data.truth.items()} == {"4.png": 1, "5.png": 2}


def test_the_command_prints_how_each_class_did_and_writes_a_page(
    checkpoint: Checkpoint, labelled: CalibrationData, labels_file: Path, tmp_path: Path
) -> None:
    truth, html = tmp_path / "truth.json", tmp_path / "page.html"
    truth.write_text(json.dumps({path.name: number for path, number in labelled.truth.items()}))
    arguments = ["bundle", str(checkpoint.path), "--labels", str(labels_file), "--out", str(tmp_path / "tiny")]
    arguments += ["--calibration", str(labelled.held_out.paths[0].parent), "--truth", str(truth), "--resolutions", "64"]
    done = CliRunner().invoke(build(), [*arguments, "--min-agreement", "0", "--html", str(html)])
    assert done.exit_code == 0, done.output
    assert "unknown <" in done.stdout and "recall %" in done.stdout and "pictures: " in done.stdout
    assert "mobilenet_v1_0.25_64_int8.tflite" in html.read_text()
    truth.write_text(json.dumps({path.name: number for path, number in never_right(labelled).truth.items()}))
    refused = CliRunner().invoke(build(), [*arguments, "--force", "--min-agreement", "0", "--precision", "1"])
    assert isinstance(refused.exception, ConfidenceError)
    assert (tmp_path / "tiny" / "manifest.json").is_file(), "the bundle of before is still there"


def test_one_file_alone_is_calibrated_too_and_says_so(
    checkpoint: Checkpoint, labelled: CalibrationData, labels_file: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({path.name: number for path, number in labelled.truth.items()}))
    arguments = ["tflite", str(checkpoint.path), "--labels", str(labels_file), "--out", str(tmp_path / "m.tflite")]
    arguments += ["--calibration", str(labelled.held_out.paths[0].parent), "--truth", str(truth), "--resolution", "64"]
    done = CliRunner().invoke(build(), [*arguments, "--min-agreement", "0"])
    assert done.exit_code == 0, done.output
    assert "probabilities are off by " in done.stdout and "logits divided by " in done.stdout
    plain = CliRunner().invoke(build(), [*arguments, "--min-agreement", "0", "--temperature", "1", "--json"])
    assert json.loads(plain.stdout[plain.stdout.index("{") :])["confidence"]["temperature"] == 1.0
