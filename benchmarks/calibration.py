"""How many pictures a calibration needs: agreement with float of the same network calibrated on few and on many.

    python benchmarks/calibration.py CHECKPOINT PHOTOS [--counts 0 8 32 128] [--splits 0 1 2]

0 is for no pictures: some are drawn instead, as the commands do without ``--calibration``. For each split the photos
measured on are the same for every count, and none of them shows an object that was calibrated on. The table goes into
docs/quantization.md.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.models import load
from benchmarks.quantization_table import put_table, span
from benchmarks.quantizers import ours
from convert.checkpoints import load_checkpoint
from convert.data.calibration_data import SYNTHETIC
from convert.data.image_sets import at_most, find_pictures, read_pictures, split
from convert.pipeline.verification import Reference, float_answers, verify
from convert.quantization import FoldedNetwork, fold, synthetic_images
from edge.bundles.manifest import Accuracy
from edge.vision.preprocess import Preprocessing


def divide(photos: Sequence[Path], seed: int, most: int) -> tuple[list[Path], list[Path]]:
    """A pool of at least ``most`` photos to calibrate on, and others of other objects to measure on."""
    pool, others = split(photos, seed)
    objects = [list(group) for _, group in itertools.groupby(others, lambda p: re.sub(r"_\d+$", "", p.stem))]
    while len(pool) < most:
        pool += objects.pop()
    return pool, [path for group in objects for path in group]


def material(count: int, pool: Sequence[Path], side: int) -> NDArray[np.uint8]:
    """Pixels (count, side, side, 3) of the first photos of the pool, or of drawn pictures if ``count`` is 0."""
    if count == 0:
        return synthetic_images(SYNTHETIC, side, seed=1)
    return read_pictures(at_most(count, pool), Preprocessing(), [side]).pixels[side]


def measure(network: FoldedNetwork, pixels: NDArray[np.uint8], reference: Reference) -> Accuracy:
    """How the network calibrated on ``pixels`` answers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        ours.write(network, pixels, path)
        with contextlib.closing(load(path)) as backend:
            return verify(backend, reference, Preprocessing())


def main() -> None:
    """Read the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 8, 32, 128])
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    options = parser.parse_args()
    network, recipe, side = fold(load_checkpoint(options.checkpoint).model), Preprocessing(), options.resolution
    found: dict[int, list[Accuracy]] = {count: [] for count in options.counts}
    for seed in options.splits:
        pool, others = divide(find_pictures(options.photos), seed, max(options.counts))
        held_out = read_pictures(others, recipe, [side])
        reference = float_answers(network, held_out, side, recipe, {}, options.photos.name)
        for count in options.counts:
            accuracy = measure(network, material(count, pool, side), reference)
            found[count].append(accuracy)
            print(f"split {seed}, {count:3} pictures: {accuracy.agreement:.1%} of {accuracy.pictures}", flush=True)
    lines = ["| calibrated on | agreement | where float is sure |", "|---|---|---|"]
    for count, of in found.items():
        sure = [accuracy.confident_agreement for accuracy in of if accuracy.confident_agreement is not None]
        title = f"{count} pictures" if count else "none (drawn)"
        lines.append(f"| {title} | {span([accuracy.agreement or 0.0 for accuracy in of])} | {span(sure)} |")
    put_table(ROOT / "docs/quantization.md", "counts", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
