"""More to calibrate on than the pictures at hand: other views of them, and pictures drawn from nothing.

A few hundred pictures are few beside four million weights, and rounding that follows them too closely is worse on
others. Views cost only time: what float answers to them is known, so they need no labels.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["synthetic_images", "with_views"]

_SMALLEST_CROP: Final = 0.3
"""Least share of a picture's area that a view keeps."""
_CONTRAST: Final = (0.7, 1.3)
_BRIGHTNESS: Final = (-25.0, 25.0)
_OCTAVES: Final = 6
_SHAPES: Final = 6

_Pixels = NDArray[np.uint8]


def with_views(pixels: _Pixels, count: int) -> _Pixels:
    """``pixels`` (n, ρ, ρ, 3 or 1), and after them ``count`` other views of each: cropped, mirrored, lit otherwise."""
    generator = np.random.default_rng(0)
    views = [_view(picture, generator) for _ in range(count) for picture in pixels]
    return np.concatenate([pixels, np.stack(views)]) if views else pixels


def synthetic_images(count: int, resolution: int, *, channels: int = 3, seed: int = 0) -> _Pixels:
    """Pictures (count, ρ, ρ, 3 or 1) to calibrate on where there are none: clouds in all scales, shapes on them."""
    generator = np.random.default_rng(seed)
    pictures = np.stack([_drawing(resolution, generator) for _ in range(count)])
    return pictures if channels == 3 else pictures[..., :1]


def _view(picture: _Pixels, generator: np.random.Generator) -> _Pixels:
    side = len(picture)
    part = max(1, round(side * generator.uniform(_SMALLEST_CROP, 1.0) ** 0.5))
    top, left = generator.integers(0, side - part + 1, 2)
    view = cv2.resize(picture[top : top + part, left : left + part], (side, side), interpolation=cv2.INTER_LINEAR)
    view = view.reshape(side, side, -1)  # OpenCV drops the axis of one channel
    if generator.random() < 0.5:
        view = view[:, ::-1]
    lit = view * generator.uniform(*_CONTRAST) + generator.uniform(*_BRIGHTNESS)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _drawing(side: int, generator: np.random.Generator) -> _Pixels:
    """Noise whose strength falls with its frequency, as in photographs, and a few ellipses of other clouds."""
    picture = _clouds(side, generator)
    for _ in range(generator.integers(1, _SHAPES)):
        mask = np.zeros((side, side), np.uint8)
        centre = tuple(int(n) for n in generator.integers(0, side, 2))
        axes = tuple(int(n) for n in generator.integers(side // 16 + 1, side // 3 + 2, 2))
        cv2.ellipse(mask, centre, axes, generator.uniform(0, 180), 0, 360, 1, -1)
        picture = np.where(mask[:, :, None] > 0, _clouds(side, generator), picture)
    return picture


def _clouds(side: int, generator: np.random.Generator) -> _Pixels:
    total = np.zeros((side, side, 3), np.float32)
    for octave in range(_OCTAVES):
        cells = min(side, 2 ** (octave + 1))
        noise = generator.normal(size=(cells, cells, 3)).astype(np.float32)
        grey = noise.mean(axis=2, keepdims=True) * 1.5
        total += cv2.resize(noise * 0.5 + grey, (side, side), interpolation=cv2.INTER_CUBIC) / 1.6**octave
    colour = generator.uniform(40, 215, 3)
    return np.asarray(np.clip(colour + total * generator.uniform(15, 60), 0, 255), np.uint8)
