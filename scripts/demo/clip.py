"""Draws the built-in clip: cards with held-out digits brought before a webcam, held and taken away."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edge.errors import OutputError
from edge.files import write_atomically
from edge.json_files import to_json
from edge.vision.preprocess import Frame
from scripts.demo.cards import LABELS, NO_CARD, Pose, draw_card, place
from scripts.demo.ink import Handwriting, load_handwriting
from scripts.demo.scenery import draw_background, draw_fingers

__all__ = ["DIGITS", "FPS", "Segment", "draw_clip", "write_clip"]

DIGITS: Final = (3, 7, 0, 5, 2, 8, 4)
"""The digits shown, in order."""
FPS: Final = 15
"""Of the room and the hands: from 5 on, the first whose every card all the demo's variants read. One in two does."""
HEIGHT, WIDTH = 480, 640

_BEFORE, _ENTER, _HELD, _LEAVE, _AFTER = 14, 4, 11, 3, 12


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``first`` to ``last``, both counted in, that show class ``label`` and nothing else."""

    first: int
    last: int
    label: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A card, how it is held, and where it waits out of sight."""

    card: Frame
    pose: Pose
    waiting: tuple[float, float]
    seed: int


def segments() -> list[Segment]:
    """The true class of each stretch of the clip; frames in between show a card on its way in or out."""
    found = [Segment(0, _BEFORE - 1, LABELS[NO_CARD])]
    start = _BEFORE
    for digit in DIGITS:
        found.append(Segment(start + _ENTER, start + _ENTER + _HELD - 1, LABELS[digit]))
        start += _ENTER + _HELD + _LEAVE
    return [*found, Segment(start, start + _AFTER - 1, LABELS[NO_CARD])]


def draw_clip() -> Iterator[Frame]:
    """The clip's frames in order, uint8 (480, 640, 3) BGR."""
    rng = np.random.default_rng(9)
    room = cv2.GaussianBlur(draw_background(rng, HEIGHT + 40, WIDTH + 200), (0, 0), 2.5)
    handwriting = load_handwriting("held-out")
    moments: list[tuple[_Shown, float] | None] = [None] * _BEFORE
    for digit in DIGITS:
        shown = _choose(rng, handwriting, digit)
        moments += [(shown, moment) for moment in _moments()]
    moments += [None] * _AFTER
    for number, moment in enumerate(moments):
        frame = _panned(np.asarray(room, np.uint8), number / len(moments))
        if moment is not None:
            _show(frame, *moment, number)
        yield _grained(rng, frame)


def write_clip(folder: Path) -> None:
    """Write ``digits.mp4`` and the truth about it, ``digits.json``, into ``folder``.

    Raises:
        OutputError: The folder cannot be written, or OpenCV has no encoder for MPEG-4.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "digits.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OutputError(f"Cannot write {path}: OpenCV opened no MPEG-4 encoder. Check the folder, or pip's OpenCV.")
    frames = 0
    try:
        for frame in draw_clip():
            writer.write(frame)
            frames += 1
    finally:
        writer.release()
    truth: dict[str, Any] = {"fps": FPS, "frames": frames, "segments": [asdict(segment) for segment in segments()]}
    write_atomically(folder / "digits.json", to_json(truth))


def _moments() -> list[float]:
    """How far out of sight a card is in each of its frames: 1 out of sight, 0 held."""
    entering = [(1 - (i + 1) / (_ENTER + 1)) ** 1.5 for i in range(_ENTER)]
    leaving = [((i + 1) / (_LEAVE + 1)) ** 1.5 for i in range(_LEAVE)]
    return [*entering, *itertools.repeat(0.0, _HELD), *leaving]


def _choose(rng: np.random.Generator, handwriting: Handwriting, digit: int) -> _Shown:
    tall = float(rng.uniform(0.62, 0.8))
    card = draw_card(rng, handwriting.draw(rng, digit), int(tall * HEIGHT))
    x, y = rng.uniform(-0.06, 0.06, 2)
    tilt = rng.normal(0, 0.06, 2)
    pose = Pose(
        x=float(x), y=float(y), height=tall, angle=float(rng.normal(0, 6)), tilt=(float(tilt[0]), float(tilt[1]))
    )
    side = float(rng.choice([-1.0, 1.0]))
    return _Shown(card, pose, (side * 1.2, 0.35), int(rng.integers(1 << 30)))


def _show(frame: Frame, shown: _Shown, away: float, number: int) -> None:
    """The card and the hand that holds it, swaying gently."""
    sway, pose = number / FPS * 2 * np.pi, shown.pose
    now = Pose(
        x=pose.x + away * shown.waiting[0] + 0.012 * np.sin(0.6 * sway),
        y=pose.y + away * shown.waiting[1] + 0.010 * np.sin(0.9 * sway),
        height=pose.height * (1 + 0.02 * np.sin(0.4 * sway)),
        angle=pose.angle + 2.0 * np.sin(0.5 * sway),
        tilt=pose.tilt,
    )
    place(frame, shown.card, now)
    corners = now.corners(shown.card.shape[1] / shown.card.shape[0]) * HEIGHT + (WIDTH / 2, HEIGHT / 2)
    right, left = corners[2], corners[3]
    tip = left + (right - left) * (0.75 if shown.waiting[0] > 0 else 0.25)
    tip = tip + (corners.mean(axis=0) - tip) * 0.12
    away_angle = np.pi / 2 - np.sign(shown.waiting[0]) * 0.5
    draw_fingers(np.random.default_rng(shown.seed), frame, (tip[0], tip[1]), away_angle, int(0.09 * HEIGHT))


def _panned(room: Frame, progress: float) -> Frame:
    """The part of ``room`` that the camera sees as it turns slowly."""
    matrix = np.array([(1, 0, -20 - 160 * progress), (0, 1, -20 + 12 * np.sin(2 * np.pi * progress))], np.float32)
    return np.asarray(cv2.warpAffine(room, matrix, (WIDTH, HEIGHT)), np.uint8)


def _grained(rng: np.random.Generator, frame: Frame) -> Frame:
    """A trace of sensor noise and softness, as from a good webcam."""
    soft = cv2.GaussianBlur(frame, (0, 0), 0.8)
    noise = rng.normal(0, 2.0, (HEIGHT // 2, WIDTH // 2, 1)).astype(np.float32)
    large = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(soft + large[..., None], 0, 255), np.uint8)
