"""Whether another program answers as this package does with the same file: MediaPipe Tasks' ``ImageClassifier``.

    scripts/test-clients                                              makes .venv/mediapipe, and tests with it
    python benchmarks/clients.py MODEL PHOTOS [--python PYTHON]       prints how often the two agree

MODEL is a ``.tflite`` file with uint8 input. MediaPipe is fed each photo twice: as this package shrinks it, and
whole, to be shrunk by MediaPipe's own way. It runs in an environment of its own, for it brings its own OpenCV.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(os.environ.get("MNE_MEDIAPIPE", ROOT / ".venv/mediapipe/bin/python"))
"""A Python that has MediaPipe."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """The best class of each photo: (count,)."""

    ours: NDArray[np.int64]
    fed_our_pixels: NDArray[np.int64]
    fed_the_photo: NDArray[np.int64]
    labels: tuple[str, ...]
    """What MediaPipe calls the best class of each photo."""

    def agreement(self, theirs: NDArray[np.int64]) -> float:
        """The share of photos on which MediaPipe's best class is ours."""
        return float((self.ours == theirs).mean())


def ask(model: Path, photos: Sequence[Path], python: Path = PYTHON) -> Answers:
    """Classify photos with this package and with MediaPipe."""
    ours, pixels = _ours(model, photos)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "pixels.npy", pixels)
        names = [str(path.resolve()) for path in photos]
        (Path(folder) / "photos.json").write_text(json.dumps(names), encoding="utf-8")
        command = [str(python), str(Path(__file__).resolve()), "--answer", str(model.resolve()), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"MediaPipe did not answer:\n{done.stderr[-2000:]}")
    answers_json = json.loads(done.stdout.splitlines()[-1])
    return Answers(
        ours=ours,
        fed_our_pixels=np.array(answers_json["pixels"]),
        fed_the_photo=np.array(answers_json["photos"]),
        labels=tuple(answers_json["labels"]),
    )


def _ours(model: Path, photos: Sequence[Path]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Our answers, and the pixels (count, ρ, ρ, 3) RGB that they are of."""
    from benchmarks.models import best_classes, load
    from convert.data.image_sets import read_pictures
    from edge.vision.preprocess import Preprocessing

    with contextlib.closing(load(model)) as backend:
        side = backend.input_spec.resolution
    pixels = read_pictures(photos, Preprocessing(), [side]).pixels[side]
    return best_classes(model, pixels), pixels


def answer(model: Path, folder: Path) -> None:
    """Print MediaPipe's answers as one line of JSON; runs under the Python that has MediaPipe."""
    from mediapipe.tasks.python import BaseOptions, vision

    from edge.vision.images import read_image

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=str(model)), max_results=1)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        pixels = [_best(classifier, picture) for picture in np.load(folder / "pixels.npy")]
        names = json.loads((folder / "photos.json").read_text(encoding="utf-8"))
        whole = [_best(classifier, read_image(Path(name))[..., ::-1]) for name in names]
    answers_json = {"pixels": [c.index for c in pixels], "labels": [c.category_name for c in pixels]}
    print(json.dumps(answers_json | {"photos": [c.index for c in whole]}))


def _best(classifier: Any, rgb: NDArray[np.uint8]) -> Any:
    import mediapipe

    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
    return classifier.classify(picture).classifications[0].categories[0]


def main() -> None:
    """Read the command line and print how often MediaPipe agrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--python", type=Path, default=PYTHON, help="a Python that has mediapipe")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer(options.model, options.photos)
        return
    from edge.vision.images import image_files

    answers = ask(options.model, image_files(options.photos), options.python)
    print(f"{len(answers.ours)} photos; MediaPipe's best class is ours on")
    print(f"  {answers.agreement(answers.fed_our_pixels):.1%} when fed our pixels")
    print(f"  {answers.agreement(answers.fed_the_photo):.1%} when fed the photos")


if __name__ == "__main__":
    main()
