"""What a camera sees that is no card: an object or two before a wall, cloth or nothing."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame
from scripts.demo.camera import as_seen
from scripts.demo.scenery import LAYERS, draw_background, draw_wash

__all__ = ["draw_things"]

_SEEN: Final = 3
"""Colour levels by which a thing differs from what is behind it."""


def draw_things(rng: np.random.Generator, side: int = 256) -> Frame:
    """A picture of things, none of them a digit, uint8 (side, side, 3) BGR; the same state draws the same picture."""
    frame = draw_background(rng, side, side) if rng.random() < 0.5 else draw_wash(rng, side, side)
    if rng.random() < 0.7:
        reach = 2 * int(rng.integers(3, 20)) + 1
        frame = np.asarray(cv2.blur(frame, (reach, reach)), np.uint8)
    if rng.random() < 0.4:
        tone = 255 if rng.random() < 0.7 else int(rng.integers(256))
        frame = np.asarray(cv2.addWeighted(frame, 0.3, np.full_like(frame, tone), 0.7, 0), np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        _put(rng, frame)
    return as_seen(rng, frame)


def _put(rng: np.random.Generator, frame: Frame) -> None:
    """Draw shapes of one kind onto ``frame``, shrunken to a part of it."""
    side = len(frame)
    canvas = frame.copy()
    layer, _ = LAYERS[int(rng.integers(len(LAYERS)))]
    layer(rng, canvas)
    mask = (cv2.absdiff(canvas, frame).max(axis=2) > _SEEN).astype(np.float32)
    width = int(side * rng.uniform(0.3, 1))
    x, y = rng.integers(0, side - width + 1, 2)
    part = frame[y : y + width, x : x + width]
    weight = cv2.resize(mask, (width, width))
    thing = cv2.resize(canvas, (width, width), interpolation=cv2.INTER_AREA)
    part[:] = cv2.blendLinear(part.copy(), np.asarray(thing, np.uint8), 1 - weight, weight)
