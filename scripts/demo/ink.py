"""Digits as ink masks: handwritten ones from the UCI set, and ones written with strokes or printed.

The handwriting is scikit-learn's bundled ``load_digits``: Alpaydin and Kaynak, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository, CC BY 4.0, https://doi.org/10.24432/C50P49.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo.strokes import FORMS, strokes

__all__ = ["INK_SIDE", "Handwriting", "Ink", "Part", "load_handwriting", "print_digit", "warp_ink", "write_digit"]

INK_SIDE: Final = 96
"""Height and width of an ink mask in pixels."""
Ink = NDArray[np.uint8]
"""How much ink lies on each spot of a square: uint8 (INK_SIDE, INK_SIDE), 0 none to 255 full."""
Part = Literal["train", "held-out"]

_HELD_OUT_EVERY = 5
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


@dataclass(frozen=True, slots=True)
class Handwriting:
    """Handwritten digits of one part of the set."""

    greys: NDArray[np.uint8]
    """uint8 (count, 8, 8), 0 paper to 16 ink."""
    digits: NDArray[np.int64]
    """The digit 0 to 9 each one shows, int64 (count,)."""
    indices: NDArray[np.int64]
    """Where each one stands in the whole set, int64 (count,)."""

    def draw(self, rng: np.random.Generator, digit: int) -> Ink:
        """One of the handwritten ``digit``s at random, as if written with a marker."""
        grey = self.greys[rng.choice(np.flatnonzero(self.digits == digit))]
        return _as_marker(rng, grey)


def load_handwriting(part: Part) -> Handwriting:
    """The digits to train on, or the ones held out: every fifth of each class."""
    from sklearn.datasets import load_digits

    pictures, digits = load_digits(return_X_y=True)
    order = np.argsort(digits, kind="stable")
    held_out = np.zeros(len(digits), bool)
    for digit in range(10):
        held_out[order[digits[order] == digit][::_HELD_OUT_EVERY]] = True
    indices = np.flatnonzero(held_out if part == "held-out" else ~held_out)
    greys = pictures[indices].reshape(-1, 8, 8).astype(np.uint8)
    return Handwriting(greys, digits[indices].astype(np.int64), indices)


def write_digit(rng: np.random.Generator, digit: int) -> Ink:
    """``digit`` written with smooth strokes: form, proportions, slant and thickness vary."""
    ink = np.zeros((INK_SIDE, INK_SIDE), np.uint8)
    form = FORMS[digit][rng.integers(len(FORMS[digit]))]
    width, height = rng.uniform(0.38, 0.72) * INK_SIDE, 0.76 * INK_SIDE
    slant = rng.normal(0, 0.16)
    thickness = int(rng.integers(4, 13))
    for stroke in strokes(form):
        points = _curve(stroke + rng.normal(0, 0.025, stroke.shape) * _moves(stroke))
        x, y = points[:, 0] - 0.5, points[:, 1] - 0.5
        pixels = np.stack([INK_SIDE / 2 + width * x - slant * height * y, INK_SIDE / 2 + height * y], axis=1)
        cv2.polylines(ink, [np.rint(pixels * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    return ink


def print_digit(rng: np.random.Generator, digit: int) -> Ink:
    """``digit`` in one of OpenCV's fonts."""
    ink = np.zeros((INK_SIDE, INK_SIDE), np.uint8)
    font, scale, thickness = int(rng.choice(_FONTS)), rng.uniform(1.8, 2.8), int(rng.integers(2, 9))
    (width, height), _ = cv2.getTextSize(str(digit), font, scale, thickness)
    corner = ((INK_SIDE - width) // 2, (INK_SIDE + height) // 2)
    cv2.putText(ink, str(digit), corner, font, scale, (255,), thickness, cv2.LINE_AA)
    return ink


def warp_ink(rng: np.random.Generator, ink: Ink, strength: float = 2.5) -> Ink:
    """``ink`` bent smoothly by about ``strength`` pixels, so that no two cards show the same shape."""
    rows, columns = np.indices((INK_SIDE, INK_SIDE), np.float32)
    bend = rng.normal(0, strength, (2, 4, 4)).astype(np.float32)
    dx, dy = (cv2.resize(b, (INK_SIDE, INK_SIDE), interpolation=cv2.INTER_CUBIC) for b in bend)
    return np.asarray(cv2.remap(ink, columns + dx, rows + dy, cv2.INTER_LINEAR), np.uint8)


def _as_marker(rng: np.random.Generator, grey: NDArray[np.uint8]) -> Ink:
    """8x8 greys enlarged smoothly, then sharpened to strokes whose thickness the threshold sets."""
    side = int(rng.integers(66, 82))
    large = cv2.resize(grey.astype(np.float32) / 16, (side, side), interpolation=cv2.INTER_CUBIC)
    before = (INK_SIDE - side) // 2
    after = INK_SIDE - side - before
    large = cv2.copyMakeBorder(large, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
    surroundings = cv2.GaussianBlur(large, (0, 0), 10)
    smooth = cv2.GaussianBlur(large, (0, 0), rng.uniform(0.8, 2.2)) - 0.4 * surroundings  # keeps small loops open
    threshold, softness = rng.uniform(0.18, 0.34), rng.uniform(0.04, 0.1)
    return np.asarray(np.clip((smooth - threshold) / softness * 127 + 127, 0, 255), np.uint8)


def _moves(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for each of the points (count, 2) that may jitter by itself, 0 for the two of a corner. Shape (count, 1)."""
    free = np.ones((len(points), 1))
    same = (points[1:] == points[:-1]).all(axis=1)
    free[1:][same] = 0
    free[:-1][same] = 0
    return free


def _curve(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Catmull-Rom curve through ``points`` (count, 2), eight points per span."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    spans = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        spans.append(p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))))
    return np.concatenate([*spans, points[-1:]])
