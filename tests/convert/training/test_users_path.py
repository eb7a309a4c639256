"""From pictures in class folders to an answer on the device: train, bundle, profile, select, classify."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from convert.cli.app import build as build_convert
from edge.cli.app import build
from tests.convert.training.test_train_cli import put_shapes

CLASSES = ("cross", "disc", "square")


def ask(app: typer.Typer, *arguments: object) -> Any:
    """What a command answers a program."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("path")


@pytest.fixture(scope="module")
def checkpoints(folder: Path) -> Path:
    pictures, out = put_shapes(folder / "shapes", 90), folder / "checkpoints"
    options = ("--single", 0.25, "--resolutions", "96,64", "--epochs", 16, "--batch", 24, "--no-flips")
    top1 = ask(build_convert(), "train", pictures, "--out", out, *options)
    assert list(top1) == ["mobilenet_v1_0.25_96", "mobilenet_v1_0.25_64"]
    assert min(top1.values()) > 0.6
    return out


@pytest.fixture(scope="module")
def bundle(folder: Path, checkpoints: Path) -> Path:
    out = folder / "bundle"
    files = sorted(checkpoints.glob("*.safetensors"))
    labels, splits = checkpoints / "labels.txt", checkpoints / "splits.csv"
    material = ("--labels", labels, "--calibration", splits, "--resolutions", "96,64")
    manifest = ask(build_convert(), "bundle", *files, *material, "--qat", splits, "--out", out)
    assert (manifest["source"]["calibration_pictures"], manifest["source"]["held_out_pictures"]) == (72, 18)
    assert manifest["source"]["fine_tuned"] is True
    for variant in manifest["variants"]:
        (artifact,) = variant["artifacts"]
        assert artifact["accuracy"]["top1"] > 0.6
    return out


def test_the_variant_chosen_on_this_board_tells_the_classes_apart(folder: Path, bundle: Path) -> None:
    profile = folder / "profile.json"
    ask(build(), "profile", "--bundle", bundle, "--out", profile, "--quick")
    chosen = ask(build(), "select", "--bundle", bundle, "--profile", profile, "--budget-ms", 1000)
    assert chosen["chosen"] in ("mobilenet_v1_0.25_96", "mobilenet_v1_0.25_64")
    pictures = [path for label in CLASSES for path in sorted((folder / "shapes" / label).iterdir())[:4]]
    answers = ask(build(), "classify", *pictures, "--bundle", bundle, "--variant", chosen["chosen"])
    assert sum(a["classes"][0]["label"] == Path(a["image"]).parent.name for a in answers) >= 8


@pytest.mark.long
def test_real_photos_by_class_folder_learn_from_imagenets_weights(shared_data: Path, tmp_path: Path) -> None:
    things = ("clothes", "household", "sports", "vehicles")
    kinds = {"bird": "animals_birds", "fruit": "food_fruit", "thing": things}
    for label, beginning in kinds.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for name in json.loads((shared_data / "photos_labels.json").read_text()):
            if name.startswith(beginning):
                shutil.copy(shared_data / "photos" / name, tmp_path / "photos" / label)
    start, out, bundle = shared_data / "mobilenet_1_0_224_tf.h5", tmp_path / "checkpoints", tmp_path / "bundle"
    options = ("--single", 1, "--resolutions", 96, "--epochs", 5, "--batch", 8, "--rate", 0.002)
    top1 = ask(build_convert(), "train", tmp_path / "photos", "--out", out, "--from", start, *options)
    assert top1["mobilenet_v1_1.00_96"] >= 0.6  # of fifteen pictures, seven are things
    material = ("--labels", out / "labels.txt", "--calibration", out / "splits.csv", "--min-agreement", 0.8)
    ask(build_convert(), "bundle", *out.glob("*.safetensors"), *material, "--resolutions", 96, "--out", bundle)
    pictures = sorted((tmp_path / "photos" / "bird").iterdir())
    answers = ask(build(), "classify", *pictures, "--bundle", bundle)
    assert sum(answer["classes"][0]["label"] == "bird" for answer in answers) >= 0.6 * len(pictures)  # by chance: 0.33
