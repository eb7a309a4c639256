"""The answer, drawn on its frame."""

from __future__ import annotations

import unicodedata
from typing import Final

import cv2

from camera_demo.frames import Result
from edge.vision.preprocess import Frame

__all__ = ["draw"]

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (255, 255, 255)
_GREY: Final = (200, 200, 200)
_GREEN: Final = (96, 200, 64)
_BAND_SHARE: Final = 0.17
_MARGIN: Final = 4
_LEAST_HEIGHT: Final = 24
"""Pixels below which a picture is too small for letters."""
_Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


def draw(result: Result) -> Frame:
    """A copy of the frame with a dark band at its foot: label, probability bar, variant and frames a second.

    Returns:
        uint8 (height, width, 3) BGR, of the frame's size.
    """
    image: Frame = result.frame.image.copy()
    height, width = image.shape[:2]
    band = max(_LEAST_HEIGHT, round(height * _BAND_SHARE))
    if height < 2 * _LEAST_HEIGHT or width < 2 * _LEAST_HEIGHT:
        return image
    labels: list[_Box] = []
    for each in result.every_region:
        if each.region is not None:
            _frame_region(image, each, band, labels)
    foot = image[height - band :]
    foot //= 4
    best = result.best
    pad = max(2, band // 10)
    bar_height = max(2, band // 10)
    if best is not None:
        length = round((width - 2 * pad) * min(1.0, max(0.0, best.probability)))
        cv2.rectangle(foot, (pad, pad), (pad + length, pad + bar_height), _GREEN, thickness=-1)
    region = f"{result.region_name}: " if result.region_name else ""
    headline = f"{region}{result.label} {best.probability:.0%}" if best else f"{region}{result.label}"
    details = f"{result.variant} {result.backend}  {result.fps:.1f} fps  {result.answer_ms:.1f} ms"
    _write(foot, headline, pad, round(0.62 * band), 0.36 * band, _WHITE)
    _write(foot, details, pad, round(0.92 * band), 0.2 * band, _GREY)
    return image


def _frame_region(image: Frame, result: Result, band: int, labels: list[_Box]) -> None:
    """A region's edge, and its label in its upper left corner, below those of others that are there already."""
    assert result.region is not None
    height, width = image.shape[:2]
    left, top, right, bottom = result.region.box(height, width)
    cv2.rectangle(image, (left, top), (right - 1, bottom - 1), _GREEN, thickness=max(1, height // 240))
    inner = image[top:bottom, left:right]
    letter_px = 0.2 * band
    if result.region_name and min(inner.shape[:2]) > 2 * _LEAST_HEIGHT:
        text = f"{result.region_name}: {result.label}"
        (unit_width, unit_height), _ = cv2.getTextSize(_ascii(text), _FONT, 1.0, 1)
        tall, wide = round(2 * letter_px), round(unit_width * letter_px / max(1, unit_height)) + 2 * _MARGIN
        down = 0
        while any(_overlap((left, top + down, left + wide, top + down + tall), other) for other in labels):
            down += tall
        label = inner[down : down + tall, :wide]
        if len(label) < tall:
            return
        labels.append((left, top + down, left + wide, top + down + tall))
        label //= 4
        _write(label, text, _MARGIN, round(1.4 * letter_px), letter_px, _WHITE)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _write(image: Frame, text: str, left: int, baseline: int, letter_px: float, colour: tuple[int, int, int]) -> None:
    """Write a line, smaller where the picture is too narrow for it."""
    text = _ascii(text)
    (unit_width, unit_height), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(letter_px / max(1, unit_height), (image.shape[1] - 2 * left) / max(1, unit_width))
    thickness = max(1, round(letter_px / 14))
    cv2.putText(image, text, (left, baseline), _FONT, scale, colour, thickness, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """The text in the letters OpenCV's fonts have: accents are dropped, other scripts become question marks."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in plain)
