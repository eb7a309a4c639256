"""A trained network as a row of layers with their weights: what every reader of graphs gives, whoever wrote the file.

Only what a MobileNet v1 can have. What does nothing when a network answers (dropout, augmentation, identities) is left
out by the readers, and so are reshapes; what cannot be such a network they refuse by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ActivationLayer",
    "Affine",
    "Array",
    "BestClass",
    "ChannelOrder",
    "Convolution",
    "Dense",
    "Flatten",
    "Layer",
    "Network",
    "Norm",
    "Pads",
    "Pool",
    "ZeroPadding",
]

Array = NDArray[np.floating[Any]]
Pads = tuple[int, int, int, int]
"""Zeros around a picture: (left, right, top, bottom)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Any layer."""

    name: str
    """As its file names it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convolution(Layer):
    """A convolution, of all channels together or of each by itself."""

    weight: Array
    """(out, in, height, width); (channels x multiplier, 1, height, width) where ``is_depthwise``."""
    bias: Array | None = None
    stride: int = 1
    pads: Pads | None = None
    """None pads as TensorFlow's SAME does."""
    is_depthwise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Norm(Layer):
    """Batch norm with its statistics, each (channels,)."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    eps: float

    def as_affine(self) -> tuple[Array, Array]:
        """Scale and shift of each channel, in double precision."""
        scale = self.gamma / np.sqrt(self.variance.astype(np.float64) + self.eps)
        return scale, self.beta - self.mean * scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine(Layer):
    """``x * scale + shift``, for each channel or for all alike: a normalization of pixels, or a batch norm in parts."""

    scale: Array
    shift: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelOrder(Layer):
    """Before the first convolution: the picture's channels in another order, or some of them, or one of them thrice."""

    source: tuple[int, ...]
    """Which of the picture's channels each one is: (2, 1, 0) turns red, green and blue into blue, green and red."""
    channels: int
    """Of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActivationLayer(Layer):
    """A function of each value, or the softmax."""

    function: str
    """``relu``, ``relu6``, ``softmax``, ``sigmoid``; other names are refused later."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZeroPadding(Layer):
    """Zeros that go around the next convolution's input."""

    pads: Pads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool(Layer):
    """The mean over all places."""

    side: int | None = None
    """The window's side where it is an ordinary average pool, which has to be the whole picture; None for all."""
    is_maximum: bool = False
    """Whether it takes the maximum instead of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flatten(Layer):
    """All values in one row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(Layer):
    """A fully connected layer."""

    weight: Array
    """(out, in)."""
    bias: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestClass(Layer):
    """The number of the class with the largest value, in place of the values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """The layers in the order in which they run, and what their file says of them."""

    layout: str
    """Who writes networks like this: ``keras``, ``onnx``, ``tflite``..."""
    layers: tuple[Layer, ...]
    resolution: int | None = None
    """The side of the pictures that the file asks for; None where any will do."""
    has_background: bool = False
    """Whether a class 0 of 1001 is TensorFlow's background."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of :class:`convert.model.ModelConfig`, where neither file nor layers decide: the custom of its writers."""
    notes: tuple[str, ...] = ()
    """What was chosen or left out."""
    takes_bytes: bool = False
    """Whether its layers take pixels of 0 to 255, because its input is of whole numbers."""
    has_known_pixels: bool = False
    """Whether its writers are known to take pixels as ``settings`` has them."""
