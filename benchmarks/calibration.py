"""How many pictures a calibration needs: agreement with float of the same network calibrated on few and on many.

    python benchmarks/calibration.py CHECKPOINT PHOTOS [--counts 8 32 128] [--resolution 224] [--splits 0 1 2]

For each split the photos measured on are the same for every count, and none of them shows an object that was
calibrated on. The table goes into docs/quantization.md.
"""

from __future__ import annotations

import argparse
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

from benchmarks.models import best_classes
from benchmarks.quantization_table import put_table, span
from convert.checkpoints import load_checkpoint
from convert.pictures import at_most, find_pictures, read_pictures, split
from convert.quantize import FoldedNetwork, fold, quantize
from convert.to_tflite import to_tflite
from convert.verify import float_answers
from edge.preprocess import Preprocessing

CONFIDENT: Final = 0.5


def divide(photos: Sequence[Path], seed: int, most: int) -> tuple[list[Path], list[Path]]:
    """A pool of at least ``most`` photos to calibrate on, and others of other objects to measure on."""
    pool, others = split(photos, seed)
    objects = [list(group) for _, group in itertools.groupby(others, lambda p: re.sub(r"_\d+$", "", p.stem))]
    while len(pool) < most:
        pool += objects.pop()
    return pool, [path for group in objects for path in group]


def best_int8(network: FoldedNetwork, pixels: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The best classes of the network calibrated on ``pixels``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"
        path.write_bytes(to_tflite(quantize(network, pixels, Preprocessing())))
        return best_classes(path, held_out)


def main() -> None:
    """Read the command line, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2], help="seeds")
    options = parser.parse_args()
    network, recipe, side = fold(load_checkpoint(options.checkpoint).model), Preprocessing(), options.resolution
    shares: dict[int, list[tuple[float, float]]] = {count: [] for count in options.counts}
    for seed in options.splits:
        pool, others = divide(find_pictures(options.photos), seed, max(options.counts))
        held_out = read_pictures(others, recipe, [side])
        probabilities = float_answers(network, held_out, side, recipe, {}, "").probabilities
        is_confident, pixels = probabilities.max(1) > CONFIDENT, held_out.pixels[side]
        for count in options.counts:
            calibration = read_pictures(at_most(count, pool), recipe, [side]).pixels[side]
            hits = best_int8(network, calibration, pixels) == probabilities.argmax(1)
            shares[count].append((float(hits.mean()), float(hits[is_confident].mean())))
            print(f"split {seed}, {count:3} pictures: {hits.mean():.1%} of {len(hits)}", flush=True)
    lines = ["| calibrated on | agreement | where float is sure |", "|---|---|---|"]
    for count, found in shares.items():
        everywhere, sure = zip(*found, strict=True)
        lines.append(f"| {count} pictures | {span(everywhere)} | {span(sure)} |")
    put_table(ROOT / "docs/quantization.md", "counts", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
