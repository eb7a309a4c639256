"""Solid things before a plain ground: bodies of several parts, lit from one side, with a texture and a shadow."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.preprocess import Frame
from scripts.demo.scenery import SKIN_BGR, colour, draw_wash

__all__ = ["draw_ground", "put_body"]

Mask = NDArray[np.uint8]
_OUTLINED: Final = 0.15


def draw_ground(rng: np.random.Generator, side: int) -> Frame:
    """What stands behind a thing, uint8 (side, side, 3) BGR: paper, a wall, a table before a wall, the sky."""
    kind = rng.random()
    if kind < 0.35:
        tone = (255, 255, 255) if rng.random() < 0.6 else colour(rng, 170, 256)
        return np.full((side, side, 3), tone, np.uint8)
    corners = np.array([[colour(rng), colour(rng)], [colour(rng), colour(rng)]], np.uint8)
    corners = np.asarray(cv2.addWeighted(corners, 0.35, np.full_like(corners, colour(rng)), 0.65, 0), np.uint8)
    frame = np.asarray(cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    if kind > 0.65:
        floor = int(side * rng.uniform(0.35, 0.85))
        lean = int(side * rng.normal(0, 0.05))
        ground = np.array([(0, floor - lean), (side, floor + lean), (side, side), (0, side)], np.int32)
        mask = cv2.fillPoly(np.zeros((side, side), np.uint8), [ground], (255,))
        cv2.copyTo(draw_wash(rng, side, side), mask, frame)
    return frame


def put_body(rng: np.random.Generator, frame: Frame) -> None:
    """Draw a thing onto ``frame``: animal, tool, fruit, vessel or vehicle, as far as chance resembles one."""
    side = len(frame)
    mask = _outline(rng, side)
    surface = _surface(rng, side)
    if rng.random() < 0.6:
        _patterned(rng, surface)
    lit = _lit(rng, surface, mask)
    if rng.random() < 0.6:
        _shadow(rng, frame, mask)
    weight = cv2.blur(mask, (3, 3)).astype(np.float32) / 255
    frame[:] = cv2.blendLinear(frame.copy(), lit, 1 - weight, weight)
    _details(rng, frame, mask)


def _outline(rng: np.random.Generator, side: int) -> Mask:
    """Where the thing is: trunk, limbs and holes, often the same on the left as on the right."""
    mask: Mask = np.zeros((side, side), np.uint8)
    reach = side * rng.uniform(0.12, 0.3)
    place = np.full(2, side / 2) + rng.normal(0, 0.06, 2) * side
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(1, 6))):
        _part(rng, mask, place, reach, heading)
        heading += rng.normal(0, 0.7)
        place = place + reach * rng.uniform(0.5, 1.3) * np.array([np.cos(heading), np.sin(heading)])
        reach *= rng.uniform(0.5, 1.05)
    for _ in range(int(rng.integers(0, 6))):
        _limb(rng, mask)
    if rng.random() < 0.2:
        _part(rng, mask, np.full(2, side / 2) + rng.normal(0, 0.1, 2) * side, side * rng.uniform(0.05, 0.15), 0, 0)
    if rng.random() < 0.4:
        mask = np.maximum(mask, mask[:, ::-1])
    return mask


def _part(
    rng: np.random.Generator, mask: Mask, place: NDArray[np.float64], reach: float, heading: float, tone: int = 255
) -> None:
    """A rounded or an angular piece."""
    x, y = int(place[0]), int(place[1])
    if rng.random() < 0.7:
        axes = (max(1, int(reach)), max(1, int(reach * rng.uniform(0.3, 1))))
        cv2.ellipse(mask, (x, y), axes, float(np.rad2deg(heading)), 0, 360, (tone,), -1, cv2.LINE_AA)
        return
    shape = ((x, y), (2 * reach, 2 * reach * rng.uniform(0.15, 1)), float(np.rad2deg(heading)))
    cv2.fillPoly(mask, [cv2.boxPoints(shape).astype(np.int32)], (tone,), cv2.LINE_AA)


def _limb(rng: np.random.Generator, mask: Mask) -> None:
    """A leg, handle, neck or blade that starts at the thing, thinner towards its end."""
    side, inside = len(mask), np.argwhere(mask > 127)
    if not len(inside):
        return
    y, x = inside[rng.integers(len(inside))].astype(float)
    heading, turn, width = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.25), side * rng.uniform(0.015, 0.09)
    for _ in range(int(rng.integers(2, 7))):
        dx, dy = side * 0.06 * np.cos(heading), side * 0.06 * np.sin(heading)
        ends = (int(x), int(y)), (int(x + dx), int(y + dy))
        cv2.line(mask, *ends, (255,), max(1, int(width)), cv2.LINE_AA)
        x, y, heading, width = x + dx, y + dy, heading + turn, width * rng.uniform(0.75, 1)


def _surface(rng: np.random.Generator, side: int) -> Frame:
    """One colour, more or less cloudy."""
    tone = SKIN_BGR[rng.integers(len(SKIN_BGR))] if rng.random() < 0.2 else colour(rng)
    plain = np.full((side, side, 3), tone, np.uint8)
    share = rng.uniform(0, 0.7)
    return np.asarray(cv2.addWeighted(plain, 1 - share, draw_wash(rng, side, side), share, 0), np.uint8)


def _patterned(rng: np.random.Generator, surface: Frame) -> None:
    """Stripes, bent as on a zebra, or spots."""
    side = len(surface)
    coarse = rng.normal(0, 1, (6, 6)).astype(np.float32)
    bend = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        heading, waves = rng.uniform(0, np.pi), rng.uniform(4, 22)
        rows, columns = np.indices((side, side), np.float32) / side
        along = columns * np.float32(np.cos(heading)) + rows * np.float32(np.sin(heading))
        dark = np.sin(2 * np.pi * waves * along + 1.5 * bend) > rng.uniform(-0.5, 0.7)
    else:
        cells = int(rng.integers(8, 40))
        fine = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        dark = cv2.resize(fine, (side, side), interpolation=cv2.INTER_CUBIC) > rng.uniform(0.2, 1.2)
    surface[dark] = colour(rng)


def _lit(rng: np.random.Generator, surface: Frame, mask: Mask) -> Frame:
    """The surface brighter where it faces the light, and a spot where it shines."""
    depth = np.minimum(cv2.distanceTransform(mask, cv2.DIST_L2, 3), len(mask) * rng.uniform(0.04, 0.25))
    height = cv2.GaussianBlur(np.sqrt(depth), (0, 0), len(mask) / 64)
    slopes = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
    heading, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    facing = slopes[0] * np.float32(np.cos(heading)) + slopes[1] * np.float32(np.sin(heading))
    shade = np.clip(1 + np.float32(strength) * facing, 0.25, 1.6)
    shine = np.float32(255 * rng.uniform(0, 0.6)) * (facing > np.quantile(facing, 0.985)) * (rng.random() < 0.4)
    lit = surface.astype(np.float32) * shade[..., None] + cv2.blur(shine.astype(np.float32), (5, 5))[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _shadow(rng: np.random.Generator, frame: Frame, mask: Mask) -> None:
    side = len(frame)
    dx, dy = rng.normal(0, 0.05, 2) * side
    move = np.array([(1, rng.normal(0, 0.2), dx), (0, rng.uniform(0.3, 1), dy + side * 0.1)], np.float32)
    reach = 2 * int(side * rng.uniform(0.01, 0.06)) + 1
    cast = cv2.blur(cv2.warpAffine(mask, move, (side, side)), (reach, reach)).astype(np.float32) / 255
    dark = cast * np.float32(rng.uniform(0.1, 0.6))
    frame[:] = cv2.blendLinear(frame.copy(), np.zeros_like(frame), 1 - dark, dark)


def _details(rng: np.random.Generator, frame: Frame, mask: Mask) -> None:
    """An outline, eyes, buttons, wheels and seams."""
    side = len(frame)
    if rng.random() < _OUTLINED:
        edges, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(frame, edges, -1, colour(rng, 0, 120), int(rng.integers(1, 4)), cv2.LINE_AA)
    inside = np.argwhere(mask > 127)
    if not len(inside):
        return
    for _ in range(int(rng.integers(0, 5))):
        y, x = inside[rng.integers(len(inside))]
        reach, tone = max(1, int(side * rng.uniform(0.008, 0.07))), colour(rng)
        if rng.random() < 0.6:
            cv2.circle(frame, (int(x), int(y)), reach, tone, -1, cv2.LINE_AA)
            if rng.random() < 0.5:
                cv2.circle(frame, (int(x), int(y)), max(1, reach // 2), colour(rng), -1, cv2.LINE_AA)
        else:
            end = (rng.normal(0, 0.12, 2) * side + (x, y)).astype(int)
            cv2.line(frame, (int(x), int(y)), (int(end[0]), int(end[1])), tone, max(1, reach // 3), cv2.LINE_AA)
