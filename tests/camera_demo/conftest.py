"""A bundle no backend opens, a classifier that goes by brightness, and frames, clips and answers made of grey."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_demo.frames import CapturedFrame, Result
from camera_demo.run_state import RunState
from camera_demo.sinks import SinkContext
from camera_demo.source_status import SourceStatus
from edge.bundles.manifest import Accuracy, Artifact, BundledVariant, Manifest
from edge.bundles.members import FileEntry
from edge.bundles.variant import Variant
from edge.inference.backends.fake import FakeBackend
from edge.inference.classifier import Classifier
from edge.inference.prediction import Guess, Prediction
from edge.json_files import to_json
from edge.vision.preprocess import Frame, Preprocessing

LABELS = tuple(f"grey {level}" for level in range(10))
VARIANT = Variant(0.25, 128)


def grey(level: int, width: int = 64, height: int = 48) -> Frame:
    """A frame that the fake backend takes for class ``level``."""
    return np.full((height, width, 3), round((level + 0.5) * 25.6), np.uint8)


@pytest.fixture
def make_grey() -> Callable[..., Frame]:
    return grey


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes a clip at 25 frames a second, one frame for each grey level."""

    def make(levels: Sequence[int], name: str = "clip.mp4", codec: str = "mp4v") -> Path:
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48))
        for level in levels:
            writer.write(grey(level))
        writer.release()
        return path

    return make


@pytest.fixture
def make_frame() -> Callable[..., CapturedFrame]:
    def make(index: int = 0, level: int = 3, **changes: Any) -> CapturedFrame:
        frame = CapturedFrame(image=grey(level), index=index, captured_at_s=0.0, position_s=index / 25)
        return replace(frame, **changes)

    return make


@pytest.fixture
def make_result(make_frame: Callable[..., CapturedFrame]) -> Callable[..., Result]:
    def make(index: int = 0, label: str = "three", probability: float = 0.97, **changes: Any) -> Result:
        guesses = (Guess(3, label, probability), Guess(8, "eight", 0.02))
        result = Result(
            frame=make_frame(index),
            prediction=Prediction(guesses, 0.5, 5.25, 0.25),
            guesses=guesses,
            variant=VARIANT.name,
            backend="fake",
            answer_ms=7.5,
            fps=29.97,
            dropped=2,
            budget_ms=33.3,
            answered_at_s=1_700_000_000.25,
        )
        return replace(result, **changes)

    return make


@pytest.fixture
def source_status() -> SourceStatus:
    """Status of a source called feed."""
    return SourceStatus("feed")


@pytest.fixture
def run_state(source_status: SourceStatus) -> RunState:
    return RunState(source_status)


@pytest.fixture
def context(run_state: RunState) -> SinkContext:
    """A sink's surroundings, in which nobody listens."""
    return SinkContext(rate_hz=25.0, text=io.StringIO(), announce=lambda line: None, run_state=run_state)


@pytest.fixture
def make_classifier() -> Iterator[Callable[..., Classifier]]:
    made: list[Classifier] = []

    def make(latency_ms: float = 0.0) -> Classifier:
        backend = FakeBackend(resolution=VARIANT.resolution, classes=len(LABELS), latency_ms=latency_ms)
        made.append(Classifier.of_backend(backend, LABELS, Preprocessing(), variant=VARIANT))
        return made[-1]

    yield make
    for classifier in made:
        classifier.close()


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A bundle of one variant whose model file only the fake backend takes."""
    root = tmp_path / "bundle"
    root.mkdir()
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (root / "model.tflite").write_bytes(b"no model")
    accuracy = Accuracy(agreement=1.0, pictures=1, measured_on="nothing")
    model = Artifact(**_entry(root / "model.tflite"), format="tflite", precision="int8", accuracy=accuracy)
    manifest = Manifest(
        name="greys",
        created="2026-01-01T00:00:00Z",
        classes=len(LABELS),
        labels=FileEntry(**_entry(root / "labels.txt")),
        preprocessing=Preprocessing(),
        variants=(BundledVariant(variant=VARIANT, mult_adds=1, parameters=1, artifacts=(model,)),),
        source={},
    )
    (root / "manifest.json").write_text(to_json(manifest.to_dict()))
    return root


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"file": path.name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture(autouse=True)
def _no_thread_stays_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(2)
    assert not [thread.name for thread in left if thread.is_alive()]
