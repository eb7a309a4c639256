"""Bundles of random weights, for benchmarks that look at time alone: time does not depend on the weights.

    python benchmarks/family.py DIR [--alphas 1.0,0.5] [--resolutions 224,128]

writes one bundle of int8 models with 1000 classes. Needs torch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.bundles.variant import ALPHAS, RESOLUTIONS


def write_family(folder: Path, alphas: Sequence[float], resolutions: Sequence[int]) -> None:
    """Write a bundle of every width at every resolution to ``folder``, replacing one that exists."""
    import cv2
    import torch

    from convert.checkpoints import load_checkpoint, save_checkpoint
    from convert.data.calibration_data import load_calibration_data
    from convert.model import MobileNetV1, ModelConfig
    from convert.pipeline.bundle import BundlePlan, build_bundle
    from edge.profiling.timing import timing_frames

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for number, frame in enumerate(timing_frames(8)):
            cv2.imwrite(str(Path(scratch) / f"{chr(97 + number)}.png"), frame)
        checkpoints = []
        for alpha in alphas:
            path = Path(scratch) / f"{alpha}.safetensors"
            torch.manual_seed(0)
            save_checkpoint(MobileNetV1(ModelConfig(alpha=alpha)), path)
            checkpoints.append(load_checkpoint(path))
        plan = BundlePlan(
            name=folder.name,
            checkpoints=tuple(checkpoints),
            resolutions=tuple(resolutions),
            labels=tuple(f"class {n}" for n in range(1000)),
            targets=("tflite",),
            min_agreement=0,
        )
        build_bundle(plan, load_calibration_data(Path(scratch), plan.resolutions, classes=1000), folder, replace=True)


def main() -> None:
    """Read the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--alphas", default=",".join(str(alpha) for alpha in ALPHAS))
    parser.add_argument("--resolutions", default=",".join(str(side) for side in RESOLUTIONS))
    options = parser.parse_args()
    alphas = [float(alpha) for alpha in options.alphas.split(",")]
    write_family(options.folder, alphas, [int(side) for side in options.resolutions.split(",")])


if __name__ == "__main__":
    main()
