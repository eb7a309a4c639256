"""What the way of shrinking a picture costs in accuracy, on clean photos and in the noise of a dim room.

    python benchmarks/resize.py CHECKPOINT PHOTOS --truth photos_labels.json [--resolution 128] [--noise 15]

The float network answers for each way; printed are the share of photos whose best class is that of exact area
means, and the top-1 on the labelled ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from convert.checkpoints import load_checkpoint
from convert.quantization import FoldedNetwork, fold
from edge.vision.images import image_files, read_image
from edge.vision.preprocess import Frame, Preprocessing, Preprocessor, Resize
from edge.vision.tensor import TensorSpec


def answers(network: FoldedNetwork, frames: list[Frame], resize: Resize, resolution: int) -> NDArray[np.int64]:
    """The best class of each frame."""
    recipe = Preprocessing(resize=resize)
    preprocessor = Preprocessor(recipe, TensorSpec(shape=(1, resolution, resolution, 3), dtype="uint8"))
    best = []
    with torch.inference_mode():
        for frame in frames:
            x = torch.from_numpy(recipe.real(preprocessor.pixels(frame))).permute(2, 0, 1)[None]
            best.append(int(network.logits(x).argmax()))
    return np.array(best)


def main() -> None:
    """Read the command line and print one line a way of shrinking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation, in levels of 255")
    options = parser.parse_args()
    network = fold(load_checkpoint(options.checkpoint).model)
    files, random = image_files(options.photos), np.random.default_rng(0)
    frames = [read_image(file) for file in files]
    noisy = [np.clip(f + random.normal(0, options.noise, f.shape), 0, 255).astype(np.uint8) for f in frames]
    truth = json.loads(options.truth.read_text())
    known = np.array([truth.get(file.name, -1) for file in files])
    found = {resize: answers(network, noisy, resize, options.resolution) for resize in get_args(Resize)}
    for resize, best in found.items():
        agreement, top1 = (best == found["area"]).mean(), (best == known)[known >= 0].mean()
        print(f"ρ={options.resolution} noise {options.noise:g}  {resize:9} as area {agreement:.1%}  top-1 {top1:.1%}")


if __name__ == "__main__":
    main()
