"""What every reader of checkpoints gives: a configuration, and the tensors under this package's names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.model import ModelConfig, Rounding
from edge.bundles.architecture import BLOCKS, STEM_FILTERS

__all__ = ["FILTERS", "Arrays", "Weights", "classifier_without_background", "configured", "width_multiplier"]

Arrays = dict[str, NDArray[np.float32]]
FILTERS: Final = (STEM_FILTERS, *(block.filters for block in BLOCKS))
"""Channels behind the stem and behind each block at α = 1."""
_ROUNDINGS: Final[tuple[Rounding, ...]] = ("floor", "multiple_8", "floor_8")
IMAGENET_CLASSES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """One network as it was read."""

    layout: str
    """Who names and orders tensors like this: ``keras``, ``timm``, ``tf-slim``..."""
    config: ModelConfig
    tensors: Arrays
    """Named and shaped as :class:`convert.model.MobileNetV1` has them."""
    note: str = ""
    """What was chosen or left out that the tensors do not tell."""
    resolution: int | None = None
    """The side of the pictures that the file asks for; None where any will do."""
    is_headless: bool = False
    """Whether the file has the features alone, and the classifier is of zeros."""

    def without_background(self, is_theirs: bool = True) -> Weights:
        """Without class 0 of 1001, if it is TensorFlow's."""
        tensors = dict(self.tensors)
        note = classifier_without_background(tensors) if is_theirs else ""
        if not note:
            return self
        config = replace(self.config, classes=IMAGENET_CLASSES)
        return replace(self, config=config, tensors=tensors, note="; ".join(filter(None, (self.note, note))))


def width_multiplier(widths: tuple[int, ...]) -> tuple[float, Rounding] | None:
    """The roundest α that gives these channels behind the stem and the blocks, and how it was rounded; None if none."""
    exact = widths[-1] / FILTERS[-1]
    candidates = {exact, *(round(exact + step / 100, 2) for step in (-1, 0, 1))}
    for alpha in sorted((a for a in candidates if a > 0), key=lambda a: (len(repr(a)), abs(a - exact))):
        for rounding in _ROUNDINGS:
            if ModelConfig(alpha=alpha, rounding=rounding).widths == widths:
                return alpha, rounding
    return None


def configured(tensors: Arrays) -> ModelConfig:
    """TensorFlow's configuration, with the α and the classes of ``tensors``.

    Where no α gives their widths it is the stem's: the tensor that does not fit is named when the network is built.
    """
    units = ("stem", *(f"blocks.{index}.1" for index in range(len(BLOCKS))))
    widths = tuple(len(tensors[f"{unit}.conv.weight"]) for unit in units)
    alpha, rounding = width_multiplier(widths) or (widths[0] / STEM_FILTERS, "floor")
    return ModelConfig(alpha=alpha, rounding=rounding, classes=len(tensors["classifier.bias"]))


def classifier_without_background(tensors: Arrays) -> str:
    """Drop class 0 of 1001, which TF-slim keeps for pictures of nothing, and say so."""
    if len(tensors["classifier.bias"]) != IMAGENET_CLASSES + 1:
        return ""
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name][1:]
    return f"class 0 of {IMAGENET_CLASSES + 1}, the background, is left out: what remains is in Keras' order"
