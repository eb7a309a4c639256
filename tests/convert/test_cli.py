import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from convert.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from convert.cli.app import build, main
from convert.model import IMAGENET_MEAN
from tests.commands import run_in_process


def convert(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``edge-convert`` as its console script does."""
    done = run_in_process(main, "edge-convert", *arguments)
    assert done.returncode == code, done.stderr
    return done


def convert_in_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``edge-convert`` as a user does."""
    command = [sys.executable, "-m", "convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refusal(*arguments: object) -> str:
    """The one line on stderr of a command that fails; warnings and lines of progress left out."""
    lines = [line for line in convert(*arguments, code=1).stderr.splitlines() if "warning" not in line]
    lines = [line for line in lines if not re.match(r"\w+: \d+%, ", line)]
    assert len(lines) == 1, lines
    return lines[0].removeprefix("edge-convert: ")


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP, which torch brings for Linux")
@pytest.mark.parametrize(("set_by_the_user", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_of_torch_wait_passively_unless_told_otherwise(
    set_by_the_user: dict[str, str], policy: str, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-m", "convert", "import", tmp_path / "absent.h5"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "OMP_DISPLAY_ENV": "true", **set_by_the_user},
    )
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr


def test_tflite_writes_one_model_and_says_how_good_it_is(
    checkpoint: Checkpoint, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.tflite"
    done = convert_in_a_process(
        "tflite", checkpoint.path, "--resolution", 64, "--calibration", pictures, "--out", out, "--min-agreement", 0.3
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes()[4:8] == b"TFL3"
    assert "agrees with float on" in done.stdout
    assert "warning: only 12 pictures to calibrate on" in done.stderr
    told = convert("verify", out, checkpoint.path, "--pictures", pictures, "--json", "--min-agreement", 0).stdout
    assert json.loads(told)["accuracy"]["pictures"] == 24


def test_bundle_writes_every_resolution(
    checkpoint: Checkpoint, pictures: Path, labels_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny"
    arguments = ("--calibration", pictures, "--labels", labels_file, "--min-agreement", 0, "--json")
    done = convert("bundle", checkpoint.path, *arguments, "--resolutions", "64,32", "--out", out)
    manifest = json.loads(done.stdout)
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert [v["variant"] for v in manifest["variants"]] == ["mobilenet_v1_0.25_64", "mobilenet_v1_0.25_32"]
    assert refusal("bundle", checkpoint.path, *arguments, "--out", out).endswith(
        "expected a name that is free. --force replaces it."
    )


def test_onnx_writes_one_model_of_the_precision_asked_for(
    checkpoint: Checkpoint, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.onnx"
    arguments = ("--resolution", 64, "--calibration", pictures, "--out", out, "--min-agreement", 0)
    told = json.loads(convert("onnx", checkpoint.path, *arguments, "--precision", "int8", "--json").stdout)
    assert told["input"] == {"shape": [1, 3, 64, 64], "dtype": "float16", "scale": 1.0, "zero_point": 0}
    assert told["size_bytes"] == out.stat().st_size
    assert "agrees with float on" in convert("onnx", checkpoint.path, *arguments, "--precision", "fp32").stdout


def test_a_target_that_is_not_known_is_answered_with_those_that_are(
    checkpoint: Checkpoint, pictures: Path, labels_file: Path, tmp_path: Path
) -> None:
    arguments = ("--calibration", pictures, "--labels", labels_file, "--out", tmp_path / "b", "--targets", "tflite,trt")
    told = refusal("bundle", checkpoint.path, *arguments)
    assert told.startswith("Targets 'tflite,trt' are not all known: expected some of tflite, onnx, onnx-fp32, ")


def test_a_model_below_the_agreement_is_not_written(checkpoint: Checkpoint, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    arguments = ("--resolution", 96, "--calibration", pictures, "--out", out, "--min-agreement", 1.0)
    told = refusal("tflite", checkpoint.path, *arguments)
    assert "expected 100.0% or more" in told and told.endswith("--min-agreement sets the least agreement.")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{missing}", "--resolution", "64"], "Cannot read checkpoint {missing}: no such file or directory."),
        (["{empty}", "--resolution", "64"], "{empty} is an empty file."),
        (["{checkpoint}", "--resolution", "100"], "invalid resolution 100: ρ must be a multiple of 32"),
    ],
)
def test_bad_input_is_refused_on_one_line(
    checkpoint: Checkpoint, pictures: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    places = {"missing": tmp_path / "none.h5", "empty": tmp_path / "empty.h5", "checkpoint": checkpoint.path}
    places["empty"].write_bytes(b"")
    told = refusal(
        "tflite", *(a.format(**places) for a in arguments), "--calibration", pictures, "--out", tmp_path / "m.tflite"
    )
    assert told.startswith(message.format(**places))


def test_labels_with_a_background_class_are_explained(
    checkpoint: Checkpoint, pictures: Path, labels_file: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("background\n" + labels_file.read_text())
    told = refusal("bundle", checkpoint.path, "--calibration", pictures, "--labels", labels, "--out", tmp_path / "b")
    assert told.startswith("There are 8 labels for a network of 7 classes: off by one: background class?")


def test_an_unwritable_place_is_refused(checkpoint: Checkpoint, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "none" / "m.tflite"
    told = refusal(
        "tflite", checkpoint.path, "--resolution", 32, "--calibration", pictures, "--out", out, "--min-agreement", 0
    )
    assert told == f"Cannot write {out}: there is no folder {out.parent}. Make it first."


def test_help_does_not_wait_for_torch() -> None:
    script = "import sys; sys.modules['torch'] = None; from convert.cli.app import build; build()(['--help'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "bundle" in done.stdout


def test_without_pictures_synthetic_ones_serve_and_it_is_said(checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    done = CliRunner().invoke(
        build(), ["tflite", str(checkpoint.path), "--resolution", "32", "--out", str(out), "--min-agreement", "0"]
    )
    assert done.exit_code == 0, done.output
    assert "warning: no pictures to calibrate on: synthetic ones are used" in done.stderr
    assert "warning: no pictures to measure on" in done.stderr
    assert out.is_file()


def test_pictures_of_nothing_but_one_colour_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.mkdir()
    for number in range(4):
        cv2.imwrite(str(black / f"{'abcd'[number]}.png"), np.zeros((64, 64, 3), np.uint8))
    out = tmp_path / "m.tflite"
    told = refusal("tflite", checkpoint.path, "--resolution", 32, "--calibration", black, "--out", out)
    assert told == (
        "Each of the 2 pictures to calibrate on is all one colour: expected pictures like those the camera will see. "
        "Was the lens covered?"
    )
    assert not out.exists()


def test_import_tells_what_a_checkpoint_is_taken_for_and_sets_what_tensors_do_not_tell(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "own.safetensors"
    told = convert("import", checkpoint.path).stdout
    assert "mobilenet-edge, α=0.25, 7 classes, same padding, relu6, eps 0.001, RGB less 127.5 by 127.5" in told
    changes = ("--activation", "relu", "--normalization", "imagenet", "--padding", "symmetric", "--bn-eps", "1e-5")
    told = json.loads(convert("import", checkpoint.path, *changes, "--out", out, "--json").stdout)
    assert told["configuration"]["std"] == [58.395, 57.12, 57.375]
    config = load_checkpoint(out).config
    assert (config.activation, config.padding, config.bn_eps, config.mean) == ("relu", "symmetric", 1e-5, IMAGENET_MEAN)
    assert refusal("import", checkpoint.path, "--stem-stride", 3).endswith("expected 0 or more, and 1 or 2.")


def test_import_keeps_what_the_file_says_beside_its_tensors(checkpoint: Checkpoint, tmp_path: Path) -> None:
    features, out = tmp_path / "features.safetensors", tmp_path / "own.safetensors"
    save_checkpoint(checkpoint.model, features, resolution=96, is_headless=True)
    told = convert("import", features, "--normalization", "unit", "--out", out)
    assert "mobilenet-edge, α=0.25, no classifier, same padding" in told.stdout
    kept = load_checkpoint(out)
    assert (kept.resolution, kept.is_headless, kept.config.std) == (96, True, (255.0,) * 3)
    assert "edge-convert train PICTURES --from own.safetensors" in refusal(
        "tflite", out, "--resolution", 96, "--out", tmp_path / "m.tflite"
    )


def test_a_conversion_that_is_terminated_leaves_nothing_behind(
    checkpoint: Checkpoint, pictures: Path, labels_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundles" / "tiny"
    arguments = ("--calibration", pictures, "--labels", labels_file, "--allow-untrained", "--out", out)
    command = [sys.executable, "-m", "convert", "bundle", str(checkpoint.path), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None and not (out.parent.is_dir() and any(out.parent.iterdir())):
        time.sleep(0.01)
    process.terminate()
    said, _ = process.communicate()
    assert process.returncode == 143, said
    assert said.splitlines()[-1] == "edge-convert: stopped"
    assert not list(out.parent.iterdir())
