"""Pictures become a bundle that knows them, which every command takes like any other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import camera_demo
import edge
from edge.bundles.bundle import MANIFEST
from edge.cli.bundle import app
from edge.errors import OutputError, TeachingError
from edge.files import sha256_of
from edge.inference.metadata_writer import ModelCard, ModelFacts
from edge.inference.selftest import verify_answers
from edge.inference.tflite_metadata import read_metadata
from edge.profiling.timing import StopRule
from edge.teaching.graph import Backbone
from edge.teaching.head import Head
from edge.teaching.teach import Taught
from edge.updates.importing import ImportOptions, import_models
from edge.vision.preprocess import Frame
from tests.edge.small_demo import FILE, write_small_demo

SMALL = edge.Variant(0.25, 128)
FLAT = Head(np.zeros((256, 11)), np.zeros(11), (-1.0, 1.0), 1.0)
FACTS = ModelFacts(
    name=SMALL.name,
    description="flat",
    resolution=128,
    classes=11,
    preprocessing=edge.open_bundle("demo").manifest.preprocessing,
    input_dtype="int8",
    output_dtype="int8",
)


def scene(kind: str, seed: int) -> Frame:
    """A picture of a kind of thing: the demo's network knows digits, so shapes that it tells apart."""
    random = np.random.default_rng(seed)
    frame = np.full((120, 160, 3), random.integers(150, 250, 3), np.uint8)
    ink = tuple(int(n) for n in random.integers(0, 60, 3))
    x, y = (int(n) for n in random.integers(-12, 12, 2))
    if kind == "ring":
        cv2.circle(frame, (80 + x, 60 + y), 34, ink, 9)
    if kind == "bar":
        cv2.rectangle(frame, (72 + x, 20 + y), (86 + x, 100 + y), ink, -1)
    if kind == "cross":
        cv2.line(frame, (50 + x, 30 + y), (110 + x, 90 + y), ink, 9)
        cv2.line(frame, (110 + x, 30 + y), (50 + x, 90 + y), ink, 9)
    return frame


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, kind in enumerate(("ring", "bar", "cross", "nothing")):
        (folder / kind).mkdir()
        for seed in range(6):
            path = folder / kind / f"burst{seed // 2}-{seed % 2}.png"
            cv2.imwrite(str(path), scene(kind, 100 * number + seed))
    (folder / "ring/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its model file lies in a folder of its own, as a manifest may have it."""
    folder = write_small_demo(tmp_path_factory.mktemp("parent") / "small")
    (folder / "models").mkdir()
    (folder / FILE).rename(folder / "models" / FILE)
    manifest = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(manifest.replace(f'"{FILE}"', f'"models/{FILE}"'))
    return folder


@pytest.fixture(scope="module")
def taught(pictures: Path, parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return edge.teach(pictures, tmp_path_factory.mktemp("taught") / "shapes", bundle=parent, threads=1)


def test_the_bundle_knows_the_new_classes_and_where_it_is_from(taught: Taught, parent: Path) -> None:
    manifest = taught.bundle.manifest
    assert taught.bundle.labels == ("bar", "cross", "nothing", "ring") and manifest.name == "shapes"
    assert manifest.source["parent_sha256"] == sha256_of(parent / MANIFEST)
    assert manifest.source["pictures"] == {"bar": 6, "cross": 6, "nothing": 6, "ring": 6}
    with edge.Classifier(taught.bundle, threads=1) as classifier:
        right = [
            classifier.classify(scene(kind, 1000 + seed)).best.label == kind
            for kind in taught.bundle.labels
            for seed in range(6)
        ]
    assert np.mean(right) > 0.7  # a network of digits


def test_the_figures_are_those_of_bursts_that_were_left_out(taught: Taught) -> None:
    (entry,) = taught.bundle.variants
    (artifact,) = entry.artifacts
    found = taught.best
    assert artifact.accuracy.top1 == pytest.approx(sum(a.best == a.truth for a in found.answers) / 24, abs=1e-4)
    assert artifact.accuracy.measured_on == "24 pictures, each burst left out in turn"
    assert artifact.confidence is not None and 0 < artifact.confidence.unknown_below < 1
    assert [one.pictures for one in found.classes] == [6, 6, 6, 6]
    assert any("was trained on 11 classes only" in note for note in taught.notes)
    assert any("1 pictures cannot be read. The first: Image " in note for note in taught.notes)


def test_it_costs_what_its_parent_does_but_for_the_classifier(taught: Taught, parent: Path) -> None:
    old, new = edge.open_bundle(parent).variants[0], taught.bundle.variants[0]
    assert old.mult_adds - new.mult_adds == 256 * (11 - 4)
    assert old.artifacts[0].size_bytes > new.artifacts[0].size_bytes


def test_every_command_takes_it_like_any_other(taught: Taught, pictures: Path) -> None:
    assert verify_answers(taught.bundle) == 1
    stop = StopRule(least_rounds=1, most_s=0.1, precision=100.0)
    profile = edge.profile(taught.bundle, keep=False, refresh=True, stop=stop, threads=1)
    assert edge.select(taught.bundle, profile, budget_ms=10_000).variant == SMALL
    live = list(camera_demo.answers("demo", bundle=taught.bundle.root, variant=str(SMALL), threads=1))
    assert len(live) > 50 and {answer.prediction.best.label for answer in live} <= set(taught.bundle.labels)
    assert len(edge.evaluate(taught.bundle, pictures).known) == 24


def test_a_taught_bundle_is_taught_again(taught: Taught, pictures: Path, tmp_path: Path) -> None:
    again = edge.teach(pictures, tmp_path / "again", bundle=taught.bundle, threads=1)
    assert again.bundle.labels == taught.bundle.labels
    assert again.best.accuracy == taught.best.accuracy  # the features are the same


def test_a_taught_file_stands_under_its_parent_s_licence(pictures: Path, parent: Path, tmp_path: Path) -> None:
    """Where the parent's file says none, as Google's do not, its manifest may; so it goes on."""
    (artifact,) = edge.open_bundle(parent).variants[0].artifacts
    backbone = Backbone(parent / artifact.file)
    card = ModelCard(labels=edge.open_bundle(parent).labels)
    content = backbone.with_classifier(FLAT, FACTS, card)
    (tmp_path / "model.tflite").write_bytes(content)
    source = {"publisher": "Google", "license": "CC-BY-4.0"}
    hosted = import_models([tmp_path / "model.tflite"], tmp_path / "hosted", ImportOptions(source=source))
    first = edge.teach(pictures, tmp_path / "first", bundle=hosted, threads=1).bundle
    second = edge.teach(pictures, tmp_path / "second", bundle=first, threads=1).bundle
    for taught in (first, second):
        told = read_metadata(taught.path(taught.variants[0].artifacts[0].file))
        assert (told.author, told.license) == ("Google", "CC-BY-4.0")
        assert (taught.manifest.source["author"], taught.manifest.source["license"]) == ("Google", "CC-BY-4.0")
    shown = CliRunner().invoke(app, ["info", str(second.root)]).output
    assert "taught from first; weights by Google; licence CC-BY-4.0" in shown


def test_the_same_pictures_give_the_same_file(taught: Taught, pictures: Path, parent: Path, tmp_path: Path) -> None:
    again = edge.teach(pictures, tmp_path / "shapes", bundle=parent, threads=1)
    assert again.bundle.variants[0].artifacts[0].sha256 == taught.bundle.variants[0].artifacts[0].sha256


def test_what_is_there_stays(pictures: Path, parent: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    for replace in (False, True):
        with pytest.raises(OutputError, match="is not a bundle, and only bundles are replaced: choose another name"):
            edge.teach(pictures, tmp_path / "mine", bundle=parent, replace=replace)
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_the_pictures_are_never_replaced(pictures: Path, parent: Path, tmp_path: Path) -> None:
    out = write_small_demo(tmp_path / "out")
    shutil.copytree(pictures, out / "pictures")
    shutil.copytree(pictures, tmp_path / "pictures")
    for folder, place in ((out / "pictures", out), (tmp_path / "pictures", tmp_path / "pictures")):
        before = sorted(folder.rglob("*"))
        with pytest.raises(OutputError, match=r"holds the pictures|is not a bundle"):
            edge.teach(folder, place, bundle=parent, replace=True)
        assert sorted(folder.rglob("*")) == before


def test_a_bundle_of_onnx_alone_is_refused(pictures: Path, parent: Path, tmp_path: Path) -> None:
    folder = write_small_demo(tmp_path / "onnx")
    values = json.loads((folder / MANIFEST).read_text())
    values["variants"][0]["artifacts"][0]["format"] = "onnx"
    (folder / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(TeachingError, match=r"No network of bundle small can be taught\. .* has no \.tflite file"):
        edge.teach(pictures, tmp_path / "out", bundle=folder)
    assert not (tmp_path / "out").exists()


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edge", "teach", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def test_the_command_shows_what_came_of_it(pictures: Path, parent: Path, tmp_path: Path) -> None:
    out = tmp_path / "my shapes"
    done = command(pictures, "--bundle", parent, "--out", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "recall %" in done.stdout and f"{out}: ready. Try it: camera-demo --bundle '{out}'" in done.stdout
    assert "note: " in done.stderr and "Traceback" not in done.stderr
    refused = command(pictures, "--bundle", parent, "--out", out)
    assert refused.returncode == 1 and refused.stderr.endswith("expected a name that is free. --force replaces it.\n")
    again = command(pictures, "--bundle", parent, "--out", out, "--force", "--json", "--threads", 1)
    assert json.loads(again.stdout)["variants"]["mobilenet_v1_0.25_128"]["pictures"] == 24


@pytest.mark.parametrize("stage", ["looking at pictures", "learning", "trying the files", "answering golden pictures"])
def test_killed_at_any_point_the_old_bundle_is_whole(stage: str, pictures: Path, parent: Path, tmp_path: Path) -> None:
    out = write_small_demo(tmp_path / "out")
    program = (
        "import sys, edge, os, signal\n"
        f"def progress(stage, share):\n    if stage.startswith({stage!r}): os.kill(os.getpid(), signal.SIGKILL)\n"
        "edge.teach(sys.argv[1], sys.argv[2], bundle=sys.argv[3], replace=True, threads=1, progress=progress)"
    )
    line = [sys.executable, "-c", program, str(pictures), str(out), str(parent)]
    done = subprocess.run(line, capture_output=True, timeout=120, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert edge.open_bundle(out).name == "small"
