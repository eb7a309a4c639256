"""What each step of the quantizer gives, and what is left when only activations are rounded.

    python benchmarks/ablation.py CHECKPOINT PHOTOS [--resolutions 224 128] [--splits 0 1 2]

Calibrated on one half of the photos, measured on the other, which shows none of the same objects. Agreement counts
photos and so jumps by a photo; the divergence (Kullback-Leibler, of the answers from float's) also sees how near a
miss was, and is the steadier measure.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from convert.checkpoints import load_checkpoint
from convert.data.image_sets import find_pictures, read_pictures, split
from convert.quantization import FoldedNetwork, equalize, fold, gptq, quantize
from convert.quantization.calibration import batches
from convert.quantization.fake_quant import FakeQuantLayer, fake_quant_integers
from edge.vision.preprocess import Preprocessing

RECIPE: Final = Preprocessing()
Pixels = NDArray[np.uint8]


def main() -> None:
    """Print a table of every step, over all splits, for each resolution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[224, 192, 160, 128])
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    network = fold(load_checkpoint(options.checkpoint).model)
    paths = find_pictures(options.photos)
    for resolution in options.resolutions:
        found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for seed in options.splits:
            halves = [read_pictures(half, RECIPE, [resolution]).pixels[resolution] for half in split(paths, seed)]
            for name, layers in steps(network, halves[0]):
                found[name].append(measured(network, layers, halves[1]))
        for name, shares in found.items():
            agreement, divergence = np.mean(shares, axis=0)
            each = ", ".join(f"{100 * share:.1f}" for share, _ in shares)
            print(f"ρ={resolution} {name:58} {100 * agreement:5.1f} % ({each})  {divergence:.4f} nats", flush=True)


def measured(network: FoldedNetwork, layers: Sequence[FakeQuantLayer], pixels: Pixels) -> tuple[float, float]:
    """Agreement with float, and divergence from it."""
    same, total = 0, 0.0
    with torch.inference_mode():
        for _, x in batches(pixels, RECIPE):
            wanted = network.logits(x).log_softmax(dim=1)
            for layer in layers:
                x = layer.run(x.mean(dim=(2, 3), keepdim=True) if layer.exact.kind == "classifier" else x)
            answers = x.flatten(1).log_softmax(dim=1)
            same += int((answers.argmax(dim=1) == wanted.argmax(dim=1)).sum())
            total += (wanted.exp() * (wanted - answers)).sum().item()
    return same / len(pixels), total / len(pixels)


def steps(network: FoldedNetwork, pixels: Pixels) -> Iterator[tuple[str, list[FakeQuantLayer]]]:
    """What each step makes of the network, by name."""
    for title, one in (("", network), (", equalized", equalize(network, pixels, RECIPE))):
        with patch.object(gptq, "DAMPING", 1e9), patch.object(gptq, "PULL", 1e9):
            yield f"nearest weights, bias correction{title}", fake_quant_integers(one, quantize(one, pixels, RECIPE))
        rounded = fake_quant_integers(one, quantize(one, pixels, RECIPE))
        yield f"rounded by covariance{title}", rounded
        exact = [replace(layer, weight=layer.exact.weight, bias=layer.exact.bias) for layer in rounded]
        yield f"only activations rounded{title}", exact


if __name__ == "__main__":
    main()
