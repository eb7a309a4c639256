"""What the int8 network answers to photos, for ``benchmarks/confidence.py``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.checkpoints import Checkpoint
from convert.data.image_sets import find_pictures, read_pictures
from convert.quantization import equalize, fold, quantize
from edge.errors import ImageError
from edge.evaluation.truth import read_truth
from edge.vision.preprocess import Preprocessing

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """The int8 network's answers to photos at one resolution."""

    logits: Floats
    features: Floats
    """After the pool, (photos, channels)."""
    truth: NDArray[np.int64]
    """-1 for objects that are none of the classes."""
    objects: NDArray[np.str_]
    """What each photo shows."""
    number: NDArray[np.int64]
    """Which photo of the object it is."""

    def where(self, chosen: NDArray[np.bool_]) -> Photos:
        """Some of them."""
        return Photos(
            logits=self.logits[chosen],
            features=self.features[chosen],
            truth=self.truth[chosen],
            objects=self.objects[chosen],
            number=self.number[chosen],
        )

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the best class is the true one."""
        return np.asarray(self.logits.argmax(axis=1) == self.truth)


def answers(checkpoint: Checkpoint, side: int, photos: Path, truth: Path, cache: Path) -> Photos:
    """The network's answers, taken from ``cache`` where they are there."""
    paths = find_pictures(photos)
    known = read_truth(paths, [""] * 1000, truth)
    file = cache / f"{side}.npz"
    if not file.is_file():
        recipe = Preprocessing()
        pixels = read_pictures([path for path in paths if path not in known], recipe, [side]).pixels[side]
        network = equalize(fold(checkpoint.at(side)), pixels, recipe)
        quantized = quantize(network, pixels, recipe, progress=lambda stage, share: print(f"{side}: {stage}", end="\r"))
        logits, features = [], []
        for picture in read_pictures(paths, recipe, [side]).pixels[side]:
            real = torch.from_numpy(recipe.real(picture[None])).permute(0, 3, 1, 2)
            levels = (real / quantized.input.scale + quantized.input.zero_point).round().clamp(-128, 127).to(torch.int8)
            for layer in quantized.layers:
                if layer.pools:
                    levels = levels.float().mean(dim=(2, 3), keepdim=True).round().to(torch.int8)
                    features.append(((levels.float() - layer.input.zero_point) * layer.input.scale).flatten().numpy())
                levels = layer.run(levels)
            logits.append(((levels.float() - quantized.logits.zero_point) * quantized.logits.scale).flatten().numpy())
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, logits=np.stack(logits), features=np.stack(features))
    found = np.load(file)
    if len(found["logits"]) != len(paths):
        raise ImageError(f"{file} is of other photos: remove it.")
    return Photos(
        logits=found["logits"].astype(np.float64),
        features=found["features"].astype(np.float64),
        truth=np.array([known.get(path, -1) for path in paths]),
        objects=np.array([re.sub(r"_\d+$", "", path.stem) for path in paths]),
        number=np.array([int((re.search(r"_(\d+)$", path.stem) or ["", "0"])[1]) for path in paths]),
    )


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities, (photos, classes)."""
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
