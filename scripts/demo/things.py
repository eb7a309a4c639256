"""What a camera sees that is no digit: objects, texture, writing, before a wall, cloth or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame
from scripts.demo.camera import as_seen
from scripts.demo.cards import Pose, draw_card, place
from scripts.demo.ink import INK_SIDE, Ink, warp_ink
from scripts.demo.objects import draw_ground, put_body
from scripts.demo.scenery import LAYERS, draw_background, draw_fingers, draw_wash

__all__ = ["draw_things"]

_SEEN: Final = 3
"""Colour levels by which a thing differs from what is behind it."""
_SIGNS: Final = "ACDEFHJKLMNPRTUVWXYabdefhkmnprtuvwxy?#&%+=@$!*/<>"
"""Letters and signs that no hand writes like a digit."""


def draw_things(rng: np.random.Generator, side: int = 256) -> Frame:
    """A picture of things, none of them a digit, uint8 (side, side, 3) BGR; the same state draws the same picture."""
    chances = np.array([chance for _, chance in _KINDS])
    draw, _ = _KINDS[int(rng.choice(len(_KINDS), p=chances / chances.sum()))]
    return as_seen(rng, draw(rng, side))


def _shapes(rng: np.random.Generator, side: int) -> Frame:
    """One or two kinds of shapes before something blurred or plain."""
    frame = draw_background(rng, side, side) if rng.random() < 0.5 else draw_wash(rng, side, side)
    if rng.random() < 0.7:
        reach = 2 * int(rng.integers(3, 20)) + 1
        frame = np.asarray(cv2.blur(frame, (reach, reach)), np.uint8)
    if rng.random() < 0.4:
        tone = 255 if rng.random() < 0.7 else int(rng.integers(256))
        frame = np.asarray(cv2.addWeighted(frame, 0.3, np.full_like(frame, tone), 0.7, 0), np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        _put(rng, frame)
    return frame


def _solids(rng: np.random.Generator, side: int) -> Frame:
    """Solid things, mostly one, before plain ground or a room out of focus."""
    frame = draw_ground(rng, side)
    if rng.random() < 0.25:
        frame = np.asarray(cv2.blur(draw_background(rng, side, side), (15, 15)), np.uint8)
    for _ in range(1 if rng.random() < 0.7 else 2):
        put_body(rng, frame)
    if rng.random() < 0.3:
        tip = rng.uniform(0.2, 0.8, 2) * side
        draw_fingers(rng, frame, (tip[0], tip[1]), rng.uniform(0, 2 * np.pi), int(side * rng.uniform(0.05, 0.15)))
    return frame


def _writing(rng: np.random.Generator, side: int) -> Frame:
    """A card with a letter, a word or scribble on it, held upright or nearly so."""
    frame = draw_background(rng, side, side)
    tall = float(rng.uniform(0.35, 0.95))
    card = draw_card(rng, warp_ink(rng, _scrawl(rng)), int(tall * side))
    x, y = rng.normal(0, 0.1, 2)
    place(frame, card, Pose(x=float(x), y=float(y), height=tall, angle=float(rng.normal(0, 8))))
    return frame


def _page(rng: np.random.Generator, side: int) -> Frame:
    """Lines of small print: a newspaper, a screen, a label on a box."""
    frame = np.full(
        (side, side, 3), int(rng.integers(150, 256)) if rng.random() < 0.8 else int(rng.integers(60)), np.uint8
    )
    tone = int(rng.integers(110)) if frame[0, 0, 0] > 128 else int(rng.integers(150, 256))
    size, font = rng.uniform(0.25, 0.9), int(rng.integers(0, 5))
    gap, left = int(30 * size) + 4, int(rng.integers(-20, 60))
    for y in range(int(rng.integers(0, gap)), side + gap, gap):
        words = "".join(rng.choice(list(_SIGNS + "     "), int(rng.integers(2, 60))))
        cv2.putText(frame, words, (left, y), font, size, (tone, tone, tone), 1 + (size > 0.6), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.normal(0, 15)), float(rng.uniform(0.8, 1.4)))
    return np.asarray(cv2.warpAffine(frame, turn, (side, side), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _scrawl(rng: np.random.Generator) -> Ink:
    """Ink that is no digit."""
    ink: Ink = np.zeros((INK_SIDE, INK_SIDE), np.uint8)
    kind, thickness = rng.random(), int(rng.integers(3, 11))
    if kind < 0.55:
        text = "".join(rng.choice(list(_SIGNS), int(rng.choice([1, 1, 2, 3]))))
        font = int(rng.integers(0, 5))
        (width, height), _ = cv2.getTextSize(text, font, 1.0, thickness)
        scale = 0.75 * INK_SIDE / max(width, height)
        corner = int((INK_SIDE - scale * width) / 2), int((INK_SIDE + scale * height) / 2)
        cv2.putText(ink, text, corner, font, scale, (255,), thickness, cv2.LINE_AA)
        return ink
    for _ in range(int(rng.integers(2, 6))):
        points = INK_SIDE * (0.5 + np.cumsum(rng.normal(0, 0.12, (int(rng.integers(3, 12)), 2)), axis=0))
        cv2.polylines(ink, [points.astype(np.int32)], kind > 0.85, (255,), thickness, cv2.LINE_AA)
    return ink


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


_Drawing = Callable[[np.random.Generator, int], Frame]
_KINDS: Final[tuple[tuple[_Drawing, float], ...]] = (
    (_shapes, 0.35),
    (_solids, 0.45),
    (_writing, 0.12),
    (_page, 0.08),
)
