"""Pictures of a handwritten digit on a card before a webcam, and of rooms without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.preprocess import Frame
from scripts.demo.camera import as_seen
from scripts.demo.ink import INK_SIDE, Handwriting, Ink, print_digit, warp_ink, write_digit
from scripts.demo.scenery import colour, draw_background, draw_fingers

__all__ = ["LABELS", "NO_CARD", "Pose", "draw_card", "draw_ink", "draw_labelled", "draw_picture", "place"]

LABELS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "no card")
"""The classes of the network, by number."""
NO_CARD: Final = 10

_SYNTHETIC: Final = 0.4
_DECOY: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a card is held, as fractions of the picture's height unless stated."""

    x: float
    """Of the card's centre, from the picture's centre."""
    y: float
    height: float
    angle: float
    """Turn in the picture's plane, in degrees."""
    tilt: tuple[float, float] = (0.0, 0.0)
    """How far the upper edge and the right edge lean back: 0.2 makes them about a fifth shorter."""

    def corners(self, aspect: float) -> NDArray[np.float32]:
        """The corners of a card ``aspect`` times as wide as high, from the upper left clockwise: float32 (4, 2)."""
        box = np.array([(-aspect, -1), (aspect, -1), (aspect, 1), (-aspect, 1)]) * self.height / 2
        depth = 1 + box @ np.array([self.tilt[1] / max(aspect, 1), -self.tilt[0]]) / self.height
        turn = np.deg2rad(self.angle)
        matrix = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
        return np.asarray(box / depth[:, None] @ matrix + (self.x, self.y), np.float32)


def draw_ink(rng: np.random.Generator, handwriting: Handwriting, digit: int, synthetic: float = _SYNTHETIC) -> Ink:
    """``digit`` as ink: from ``handwriting``, or with chance ``synthetic`` written or printed by program."""
    if rng.random() >= synthetic:
        return warp_ink(rng, handwriting.draw(rng, digit), 1.5)
    writer = print_digit if rng.random() < 0.2 and digit else write_digit  # OpenCV 5 prints a slash through zero
    return warp_ink(rng, writer(rng, digit))


def draw_card(rng: np.random.Generator, ink: Ink | None, height: int) -> Frame:
    """A card, uint8 (height, width, 3) BGR: paper, perhaps ruled or bordered, and ``ink`` if there is any."""
    width = int(height * rng.uniform(0.68, 1.3))
    card: Frame = np.empty((height, width, 3), np.uint8)
    card[:] = colour(rng, 200, 256) if rng.random() < 0.75 else colour(rng, 130, 250)
    _rule(rng, card)
    if ink is not None:
        side = min(height, width) * rng.uniform(0.85, 1.2)
        slack = np.maximum(0, (width - 0.8 * side, height - 0.8 * side))
        centre = np.array([width, height]) / 2 + rng.uniform(-0.4, 0.4, 2) * slack
        scale = side / INK_SIDE
        shift = centre - side / 2
        matrix = np.array([(scale, 0, shift[0]), (0, scale, shift[1])], np.float32)
        mask = np.asarray(cv2.warpAffine(ink, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
        _cover(card, colour(rng, 0, 110) if rng.random() < 0.6 else _vivid(rng), mask, rng.uniform(0.75, 1))
    return card


def place(frame: Frame, card: Frame, pose: Pose, shadow: tuple[float, float, float] = (0.02, 0.03, 0.4)) -> None:
    """Lay ``card`` on ``frame`` in place.

    Args:
        frame: uint8 (height, width, 3) BGR, changed.
        card: uint8 (card height, card width, 3) BGR.
        pose: Where the card is held.
        shadow: Shift to the right and down as fractions of the frame's height, and darkness from 0 to 1.
    """
    height, width = frame.shape[:2]
    rows, columns = card.shape[:2]
    corners = pose.corners(columns / rows) * height + np.array([width / 2, height / 2], np.float32)
    move = np.array(shadow[:2], np.float32) * height
    margin = float(np.abs(move).max()) + height / 40 + 1
    left, top = np.clip(corners.min(axis=0) - margin, 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0) + margin), 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    view, size = frame[top:bottom, left:right], (int(right - left), int(bottom - top))
    flat = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, corners - np.array([left, top], np.float32))
    mask = cv2.warpPerspective(np.ones((rows, columns), np.float32), matrix, size)
    seen = cv2.warpPerspective(card, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    reach = 2 * (height // 40) + 1
    cast = cv2.warpAffine(mask, np.array([(1, 0, move[0]), (0, 1, move[1])], np.float32), size)
    dark = cv2.blur(cast, (reach, reach)) * np.float32(shadow[2])
    shaded = cv2.blendLinear(view, np.zeros_like(view), 1 - dark, dark)
    view[:] = cv2.blendLinear(shaded, np.asarray(seen, np.uint8), 1 - mask, mask)


def draw_picture(rng: np.random.Generator, ink: Ink | None, side: int = 256, *, hardness: float = 1.0) -> Frame:
    """What a webcam sees.

    Args:
        rng: Where chance comes from; the same state draws the same picture.
        ink: The digit on the card; None for a room without a digit.
        side: Height and width in pixels.
        hardness: 0 shows large upright cards to a good webcam, 1 also small, turned and badly lit ones.

    Returns:
        uint8 (side, side, 3) BGR.
    """
    frame = draw_background(rng, side, side)
    if ink is not None or rng.random() < _DECOY:
        _hold(rng, frame, ink, hardness)
    if ink is None and rng.random() < 0.4:
        for _ in range(rng.integers(1, 3)):
            tip = rng.uniform(0.1, 0.9, 2) * side
            draw_fingers(rng, frame, (tip[0], tip[1]), rng.uniform(0, 2 * np.pi), int(side * rng.uniform(0.04, 0.2)))
    return as_seen(rng, frame, harshness=hardness)


def draw_labelled(
    rng: np.random.Generator,
    handwriting: Handwriting,
    label: int,
    side: int = 256,
    *,
    synthetic: float = _SYNTHETIC,
    hardness: float = 1.0,
) -> Frame:
    """A picture of class ``label``, see :func:`draw_picture` and :func:`draw_ink`."""
    ink = None if label == NO_CARD else draw_ink(rng, handwriting, label, synthetic)
    return draw_picture(rng, ink, side, hardness=hardness)


def _hold(rng: np.random.Generator, frame: Frame, ink: Ink | None, hardness: float) -> None:
    """A card somewhere in ``frame``, held by fingers more often than not."""
    side = frame.shape[0]
    tall = float(rng.uniform(0.95 - 0.6 * hardness, 0.95))
    card = draw_card(rng, ink, max(16, int(tall * side)))
    aspect = card.shape[1] / card.shape[0]
    pose = _any_pose(rng, tall, aspect, hardness)
    right, down, darkness = *rng.uniform(-0.05, 0.05, 2), rng.uniform(0, 0.6)
    place(frame, card, pose, (right, down, darkness))
    if rng.random() < 0.65:
        _grasp(rng, frame, (pose.corners(aspect) + 0.5) * side, tall * side)


def _any_pose(rng: np.random.Generator, tall: float, aspect: float, hardness: float) -> Pose:
    """A card ``tall`` times as high as the picture, nearly all of it in sight."""
    room = np.maximum(0.02, 0.5 - np.array([aspect, 1]) * tall / 2 + 0.03)
    x, y = rng.uniform(-room, room)
    angle = float(np.clip(rng.normal(0, 3 + 6 * hardness), -22, 22))
    back, aside = rng.normal(0, 0.12 * hardness, 2)
    return Pose(x=x, y=y, height=tall, angle=angle, tilt=(back, aside))


def _grasp(rng: np.random.Generator, frame: Frame, corners: NDArray[np.float32], height: float) -> None:
    """Fingers over an edge of a card ``height`` pixels high with ``corners`` (4, 2), in pixels."""
    edge = int(rng.integers(4))
    tip = corners[edge] + (corners[(edge + 1) % 4] - corners[edge]) * rng.uniform(0.05, 0.95)
    centre = corners.mean(axis=0)
    tip = tip + (centre - tip) * rng.uniform(0, 0.25)
    away = float(np.arctan2(*(tip - centre)[::-1]) + rng.normal(0, 0.3))
    draw_fingers(rng, frame, (tip[0], tip[1]), away, max(2, int(height * rng.uniform(0.06, 0.14))))


def _rule(rng: np.random.Generator, card: Frame) -> None:
    """Lines or squares as on writing paper, and a border, each now and then."""
    height, width = card.shape[:2]
    if rng.random() < 0.3:
        gap, tone = max(4, int(height * rng.uniform(0.06, 0.16))), colour(rng, 120, 230)
        card[gap // 2 :: gap] = tone
        if rng.random() < 0.4:
            card[:, gap // 2 :: gap] = tone
    if rng.random() < 0.25:
        inset, thick = int(height * rng.uniform(0, 0.05)), max(1, int(height * rng.uniform(0.01, 0.04)))
        cv2.rectangle(card, (inset, inset), (width - 1 - inset, height - 1 - inset), colour(rng, 0, 200), thick)


def _vivid(rng: np.random.Generator) -> tuple[int, int, int]:
    """The colour of a marker: red, blue, green, purple, brown."""
    tones = ((40, 30, 190), (180, 60, 20), (50, 120, 20), (130, 30, 110), (30, 60, 100))
    values = np.clip(np.add(tones[rng.integers(len(tones))], rng.integers(-25, 26, 3)), 0, 255)
    return int(values[0]), int(values[1]), int(values[2])


def _cover(card: Frame, tone: tuple[int, int, int], mask: Ink, strength: float) -> None:
    weight = mask.astype(np.float32) * np.float32(strength / 255)
    paint = np.empty_like(card)
    paint[:] = tone
    card[:] = cv2.blendLinear(card, paint, 1 - weight, weight)
