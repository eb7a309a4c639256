"""The loop of docs/teaching.md, closed with commands alone: live, collected, labelled, taught, compared, put to use."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from convert.data.dataset import read_dataset
from edge.vision.images import read_image
from tests.edge.small_demo import write_small_demo
from tests.edge.teaching.test_teach import scene

KINDS = ("ring", "bar", "cross", "nothing")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A camera's loopback: each kind of thing six times, each time a little elsewhere."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for seed in range(6):
        for number, kind in enumerate(KINDS):
            writer.write(scene(kind, 100 * number + seed))
    writer.release()
    return path


def run(*arguments: object, folder: Path) -> str:
    environment = os.environ | {"XDG_DATA_HOME": str(folder / "data"), "XDG_STATE_HOME": str(folder / "state")}
    environment["MOBILENET_EDGE_BUNDLES"] = str(folder / "bundles")
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, timeout=200, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def label(folder: Path) -> dict[str, str]:
    """What a person would do: say what each picture shows, which is that of the scenes that is most like it."""
    scenes = [(kind, scene(kind, 100 * n + seed).astype(int)) for n, kind in enumerate(KINDS) for seed in range(6)]
    truth = {}
    for path in sorted(folder.glob("*.jpg")):
        picture = read_image(path).astype(int)
        truth[path.name] = min((float(np.abs(one - picture).mean()), kind) for kind, one in scenes)[1]
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows(truth.items())
    return truth


def test_from_the_camera_to_a_better_bundle(clip: Path, tmp_path: Path) -> None:
    parent, seen, test = write_small_demo(tmp_path / "parent"), tmp_path / "seen", tmp_path / "test"
    pinned = ("--variant", "0.25_128", "--threads", 1)
    everything = "every=0.000001&minute=999&hour=999&unsure=no&unknown=no"
    run("camera_demo", clip, f"collect:{seen}?{everything}", "--bundle", parent, *pinned, folder=tmp_path)
    truth = label(seen)
    assert len(truth) >= 20 and set(truth.values()) == set(KINDS)
    for number, kind in enumerate(KINDS):
        (test / kind).mkdir(parents=True)
        for seed in range(50, 56):
            cv2.imwrite(str(test / kind / f"x{seed}.png"), scene(kind, 100 * number + seed))

    def taught(pictures: Path, out: str) -> dict[str, Any]:
        run("edge", "teach", pictures, "--bundle", parent, "--out", tmp_path / out, "--threads", 1, folder=tmp_path)
        found: dict[str, Any] = json.loads(
            run("edge", "evaluate", tmp_path / out, test, "--unknown", "off", "--json", folder=tmp_path)
        )
        return found

    few = tmp_path / "few"
    few.mkdir()
    with (few / "labels.csv").open("w", newline="") as file:
        rows = [(seen / name, kind) for name, kind in list(truth.items())[:8]]
        csv.writer(file).writerows([("path", "label"), *rows])
    first, second = taught(few, "first"), taught(seen, "second")
    assert first["pictures"] == second["pictures"] == 24
    assert second["right"] >= first["right"] and second["accuracy"] > 0.7
    own = json.loads(run("edge", "evaluate", tmp_path / "second", seen, "--unknown", "off", "--json", folder=tmp_path))
    assert own["pictures"] == len(truth)  # by its labels.csv
    run("edge", "bundle", "verify", tmp_path / "second", folder=tmp_path)
    assert np.array_equal(read_dataset(seen).labels, sorted(KINDS))  # the same folder goes to training
