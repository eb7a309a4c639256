"""Makes everything that ``demo`` consists of, in order: pictures, checkpoints, the bundle, the clip."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch

from convert.errors import OtherSettingsError
from convert.pipeline.golden import CANDIDATES, add_golden
from convert.training.results import checkpoint_name
from convert.training.state import STATE
from edge.bundles.bundle import open_bundle
from edge.bundles.variant import ALPHAS, RESOLUTIONS
from edge.errors import EdgeError
from edge.vision.preprocess import Frame
from scripts.demo.cards import LABELS, draw_labelled
from scripts.demo.clip import write_clip
from scripts.demo.head import refit
from scripts.demo.ink import load_handwriting
from scripts.demo.pictures import PREPROCESSING, held_out_pictures
from scripts.demo.train import recipe_for, train

__all__ = ["main", "write_calibration", "write_labels", "write_test"]

ROOT: Final = Path(__file__).resolve().parents[2]
BUNDLE: Final = Path("edge/bundles/demo")
CLIPS: Final = Path("camera_demo/clips")
_CHECKPOINTS: Final = "checkpoints"
_WIDTHS_HELP: Final = "widths to bundle; those that ship by default, of the four that are trained"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps asked for and return the exit code."""
    options = _parser().parse_args(arguments)
    options.work = options.work or Path(tempfile.mkdtemp(prefix="make-demo-"))
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    print(f"Working in {options.work}")
    for name in options.steps:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        try:
            code = _STEPS[name](options)
        except EdgeError as error:
            hint = " --force starts from scratch." if isinstance(error, OtherSettingsError) else ""
            print(f"make-demo: {error}{hint}", file=sys.stderr)
            return error.exit_code
        print(f"{name}: {(time.monotonic() - started) / 60:.1f} min", flush=True)
        if code:
            return code
    return 0


def write_labels(path: Path) -> None:
    """Write one label a line; line N, counted from 0, is class N."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")


def write_calibration(folder: Path, count: int = 256) -> None:
    """Write ``count`` pictures like those trained on, classes in turn, from digits that were trained on."""
    rng, handwriting = np.random.default_rng(11), load_handwriting("train")
    _write(folder, (("", draw_labelled(rng, handwriting, number % len(LABELS))) for number in range(count)))


def write_test(folder: Path, per_class: int = 100) -> None:
    """Write the test's pictures, one folder per class, named as its label with ``_`` for the space."""
    frames, labels = held_out_pictures(per_class)
    _write(folder, ((LABELS[label].replace(" ", "_"), frame) for frame, label in zip(frames, labels, strict=True)))


def _write(folder: Path, pictures: Iterable[tuple[str, Frame]]) -> None:
    for number, (name, frame) in enumerate(pictures):
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / f"{number:04d}.jpg"
        if not cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise OSError(f"Cannot write {path}: check the folder and the space left.")


def _pictures(options: argparse.Namespace) -> int:
    write_labels(options.work / "data" / "labels.txt")
    write_calibration(options.work / "data" / "calibration")
    write_test(options.work / "data" / "test")
    return 0


def _train(options: argparse.Namespace) -> int:
    if options.force:
        (options.work / _CHECKPOINTS / STATE).unlink(missing_ok=True)
    train(recipe_for(options.effort), options.work / _CHECKPOINTS, report=lambda line: print(line, flush=True))
    return 0


def _bundle(options: argparse.Namespace) -> int:
    data = options.work / "data"
    checkpoints = [str(options.work / _CHECKPOINTS / checkpoint_name(alpha)) for alpha in options.alphas]
    command = [sys.executable, "-m", "convert", "bundle", *checkpoints, "--name", "demo", "--out", str(options.out)]
    command += ["--force", "--resolutions", ",".join(map(str, RESOLUTIONS)), "--labels", str(data / "labels.txt")]
    command += ["--resize", PREPROCESSING.resize, "--author", "mobilenet-edge", "--license", "Apache-2.0"]
    command += ["--calibration", str(data / "calibration"), "--verify-on", str(data / "test")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _head(options: argparse.Namespace) -> int:
    """Fit the last layers of the bundle, as it stands, to things as well, and set its thresholds of unknown."""
    refit(open_bundle(options.out))
    return 0


def _golden(options: argparse.Namespace) -> int:
    """Give the bundle, as it stands, its golden pictures: digits that were not trained on."""
    rng, handwriting = np.random.default_rng(5), load_handwriting("held-out")
    drawn = (draw_labelled(rng, handwriting, number % len(LABELS)) for number in range(CANDIDATES))
    add_golden(open_bundle(options.out), drawn)
    return 0


def _clip(options: argparse.Namespace) -> int:
    write_clip(ROOT / CLIPS)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make-demo", description=__doc__, epilog="Example: scripts/make-demo --work /var/tmp/demo --threads 2"
    )
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), help="folder for pictures and checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; other counts give other weights")
    parser.add_argument("--effort", type=float, default=1.0, help="multiplies the training steps")
    parser.add_argument(
        "--force", action="store_true", help="start from scratch, whatever an earlier run left in --work"
    )
    parser.add_argument("--alphas", type=float, nargs="+", choices=ALPHAS, default=[0.5, 0.25], help=_WIDTHS_HELP)
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), default=ROOT / BUNDLE, help="the bundle")
    parser.add_argument("--steps", nargs="+", choices=tuple(_STEPS), default=list(_STEPS), help="default: all in order")
    return parser


Step = Callable[[argparse.Namespace], int]
_STEPS: Final[dict[str, Step]] = {
    "pictures": _pictures,
    "train": _train,
    "bundle": _bundle,
    "head": _head,
    "golden": _golden,
    "clip": _clip,
}


if __name__ == "__main__":
    sys.exit(main())
