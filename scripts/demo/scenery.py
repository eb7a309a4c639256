"""What stands behind a card: cluttered pictures of nothing in particular, drawn from random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["LAYERS", "SKIN_BGR", "colour", "draw_background", "draw_fingers", "draw_wash"]

SKIN_BGR: Final = ((180, 200, 238), (140, 172, 225), (105, 140, 200), (70, 100, 160), (45, 65, 110))
"""Skin from light to dark."""

_LETTERS: Final = "ABCDEFGHJKLMNPRTUVWXYZabcdefhkmnprtuvwxy?#&%+="


def colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    """A colour whose three values lie in [low, high); half of the time nearly grey."""
    values = rng.integers(low, high, 3)
    if rng.random() < 0.5:
        values = np.clip(values[0] + rng.integers(-18, 19, 3), 0, 255)
    return int(values[0]), int(values[1]), int(values[2])


def draw_background(rng: np.random.Generator, height: int, width: int) -> Frame:
    """A cluttered scene, uint8 (height, width, 3) BGR: washes of colour, shapes, stripes, marks, more or less sharp."""
    frame = draw_wash(rng, height, width)
    for layer, chance in LAYERS:
        if rng.random() < chance:
            layer(rng, frame)
        if rng.random() < 0.25:
            reach = 2 * int(rng.integers(1, max(2, height // 40))) + 1
            frame = np.asarray(cv2.blur(frame, (reach, reach)), np.uint8)
    return frame


def draw_fingers(rng: np.random.Generator, frame: Frame, tip: tuple[float, float], away: float, thickness: int) -> None:
    """One or two fingers from ``tip`` (x, y), in pixels, in direction ``away``, in radians, and out of sight."""
    skin = np.array(SKIN_BGR[rng.integers(len(SKIN_BGR))], np.float64) * rng.uniform(0.6, 1.1)
    for finger in range(int(rng.integers(1, 3))):
        shift = finger * thickness * 1.1
        x, y = tip[0] - shift * np.sin(away), tip[1] + shift * np.cos(away)
        end = x + 4.5 * thickness * np.cos(away), y + 4.5 * thickness * np.sin(away)
        for width, shade in ((thickness, 0.72), (max(1, int(thickness * 0.75)), 1.0)):
            tone = tuple(float(v) for v in np.clip(skin * shade, 0, 255))
            cv2.line(frame, (int(x), int(y)), (int(end[0]), int(end[1])), tone, width, cv2.LINE_AA)


def draw_wash(rng: np.random.Generator, height: int, width: int) -> Frame:
    """Patches of colour, from broad to fine, as walls, cloth and leaves have them."""
    low, high = np.sort(rng.integers(0, 256, 2))
    frame = _noise(rng, height, width, int(rng.integers(1, 5)), int(low), int(high) + 1)
    share = rng.uniform(0, 0.45)
    for _ in range(rng.integers(1, 4)):
        detail = _noise(rng, height, width, int(np.exp(rng.uniform(1.4, 4.5))), 0, 256)
        frame = np.asarray(cv2.addWeighted(frame, 1 - share, detail, share, 0), np.uint8)
        share *= rng.uniform(0.3, 1)
    return frame


def _noise(rng: np.random.Generator, height: int, width: int, cells: int, low: int, high: int) -> Frame:
    coarse = rng.integers(low, high, (cells + 1, cells + 1, 3), np.uint8)
    if rng.random() < 0.6:
        coarse = (coarse // 4 + coarse[..., :1] // 4 * 3).astype(np.uint8)
    kind = cv2.INTER_CUBIC if rng.random() < 0.8 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=kind), np.uint8)


def _polygons(rng: np.random.Generator, frame: Frame) -> None:
    height, width = frame.shape[:2]
    for _ in range(rng.integers(2, 12)):
        centre, reach = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.05, 0.5) * height
        corners = rng.integers(3, 6)
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(frame, [points.astype(np.int32)], colour(rng), cv2.LINE_AA)


def _boxes(rng: np.random.Generator, frame: Frame) -> None:
    """Upright rectangles: shelves, screens, doors, sheets of paper."""
    height, width = frame.shape[:2]
    for _ in range(rng.integers(2, 10)):
        x, y = (rng.uniform(-0.1, 1, 2) * (width, height)).astype(int)
        w, h = (rng.uniform(0.05, 0.6, 2) * height).astype(int)
        cv2.rectangle(frame, (int(x), int(y)), (int(x + w), int(y + h)), colour(rng), -1)
        if rng.random() < 0.4:
            cv2.rectangle(frame, (int(x), int(y)), (int(x + w), int(y + h)), colour(rng), int(rng.integers(1, 5)))


def _ellipses(rng: np.random.Generator, frame: Frame) -> None:
    height, width = frame.shape[:2]
    for _ in range(rng.integers(1, 6)):
        x, y = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
        axes = (rng.uniform(0.03, 0.35, 2) * height).astype(int)
        tone = SKIN_BGR[rng.integers(len(SKIN_BGR))] if rng.random() < 0.4 else colour(rng)
        thick = -1 if rng.random() < 0.75 else int(rng.integers(2, 8))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(frame, (int(x), int(y)), (int(axes[0]), int(axes[1])), angle, 0, 360, tone, thick, cv2.LINE_AA)


def _stripes(rng: np.random.Generator, frame: Frame) -> None:
    """Parallel lines across part of the scene: blinds, floorboards, book spines."""
    height, width = frame.shape[:2]
    gap, thick = int(rng.integers(6, 40)), int(rng.integers(1, 10))
    lean, tone = float(rng.normal(0, 0.3)) * height, colour(rng)
    start, end = np.sort(rng.uniform(0, 1, 2))
    for x in range(int(start * width), int(end * width), gap):
        if rng.random() < 0.2:
            tone = colour(rng)
        cv2.line(frame, (x, 0), (int(x + lean), height), tone, thick, cv2.LINE_AA)
    if rng.random() < 0.5:
        frame[:] = frame[::-1] if rng.random() < 0.5 or height != width else frame.transpose(1, 0, 2)


def _things(rng: np.random.Generator, frame: Frame) -> None:
    """Round shapes with a texture of their own: animals, plants, clothes, heads."""
    height, width = frame.shape[:2]
    for _ in range(rng.integers(1, 4)):
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        waves = np.arange(2, 6)[:, None] * angles + rng.uniform(0, 2 * np.pi, (4, 1))
        radii = 1 + (rng.normal(0, 0.18, (4, 1)) * np.cos(waves)).sum(axis=0)
        reach = rng.uniform(0.06, 0.4) * height * np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        points = rng.uniform(0, 1, 2) * (width, height) + reach * rng.uniform(0.4, 1, 2)
        mask = cv2.fillPoly(np.zeros((height, width), np.uint8), [points.astype(np.int32)], (255,))
        cv2.copyTo(draw_wash(rng, height, width), mask, frame)
        if rng.random() < 0.3:
            cv2.polylines(frame, [points.astype(np.int32)], True, colour(rng), int(rng.integers(1, 4)), cv2.LINE_AA)


def _wires(rng: np.random.Generator, frame: Frame) -> None:
    """Loose curves, thin and thick: cables, twigs, handles, legs."""
    height = frame.shape[0]
    for _ in range(rng.integers(1, 7)):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, 12))
        steps = rng.uniform(0.01, 0.09) * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        line = ((rng.uniform(0, 1, 2) + np.cumsum(steps, axis=0)) * height).astype(np.int32)
        thickness = max(1, int(np.exp(rng.uniform(0, 2.9)) * height / 256))
        cv2.polylines(frame, [line], False, colour(rng), thickness, cv2.LINE_AA)


def _letters(rng: np.random.Generator, frame: Frame) -> None:
    """Letters and signs, none of them a digit."""
    height, width = frame.shape[:2]
    for _ in range(rng.integers(1, 6)):
        text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 6))))
        x, y = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
        size = float(rng.uniform(0.3, 2.5)) * height / 256
        cv2.putText(frame, text, (int(x), int(y)), int(rng.integers(0, 5)), size, colour(rng), int(rng.integers(1, 5)))


Layer = Callable[[np.random.Generator, Frame], None]
LAYERS: Final[tuple[tuple[Layer, float], ...]] = (
    (_boxes, 0.6),
    (_stripes, 0.3),
    (_polygons, 0.5),
    (_ellipses, 0.5),
    (_things, 0.5),
    (_wires, 0.4),
    (_letters, 0.3),
)
