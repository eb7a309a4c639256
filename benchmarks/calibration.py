"""How many pictures a calibration needs: agreement with float of the same network calibrated on few and on many.

    python benchmarks/calibration.py CHECKPOINT PHOTOS [--counts 0 8 32 128] [--resolutions 224]
                                                       [--none-at 192 160 128] [--splits 0 1 2]

0 is for no pictures: some are drawn instead, as the commands do without ``--calibration``. For each split the photos
measured on are the same for every count, and none of them shows an object that was calibrated on. ``--none-at`` adds
resolutions at which only drawn pictures are tried. The table, with the divergence in nats, goes into
docs/quantization.md.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.logits import divergence
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


def measure(
    network: FoldedNetwork, pixels: NDArray[np.uint8], reference: Reference, *, are_synthetic: bool
) -> tuple[Accuracy, float]:
    """How the network calibrated on ``pixels`` answers, and its divergence in nats."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        ours.write(network, pixels, path, are_synthetic=are_synthetic)
        with contextlib.closing(load(path)) as backend:
            return verify(backend, reference, Preprocessing()), divergence(path, reference)


def rows(network: FoldedNetwork, side: int, counts: Sequence[int], options: argparse.Namespace) -> Iterator[str]:
    """The table's rows at one resolution, a row for each count."""
    photos: Path = options.photos
    found: dict[int, list[tuple[Accuracy, float]]] = {count: [] for count in counts}
    for seed in options.splits:
        pool, others = divide(find_pictures(photos), seed, max(options.counts))
        held_out = read_pictures(others, Preprocessing(), [side])
        reference = float_answers(network, held_out, side, Preprocessing(), {}, photos.name)
        for count in counts:
            pixels = material(count, pool, side)
            accuracy, nats = measure(network, pixels, reference, are_synthetic=not count)
            found[count].append((accuracy, nats))
            answers = f"{accuracy.agreement:.1%} of {accuracy.pictures}, {nats:.4f} nats"
            print(f"ρ={side}, split {seed}, {count:3} pictures: {answers}", flush=True)
    for count, of in found.items():
        title = f"{count} pictures" if count else "none (drawn)"
        sure = [accuracy.confident_agreement for accuracy, _ in of if accuracy.confident_agreement is not None]
        agreement = span([accuracy.agreement or 0.0 for accuracy, _ in of])
        mean = statistics.mean(nats for _, nats in of)
        yield f"| {side} | {title} | {agreement} | {span(sure)} | {mean:.4f} |"


def main() -> None:
    """Read the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 8, 32, 128])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[224])
    parser.add_argument("--none-at", type=int, nargs="+", default=[], metavar="RESOLUTION")
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    options = parser.parse_args()
    network = fold(load_checkpoint(options.checkpoint).model)
    lines = ["| ρ | calibrated on | agreement | where float is sure | divergence |", "|---|---|---|---|---|"]
    for side in options.resolutions:
        lines += rows(network, side, options.counts, options)
    for side in options.none_at:
        lines += rows(network, side, [0], options)
    put_table(ROOT / "docs/quantization.md", "counts", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
