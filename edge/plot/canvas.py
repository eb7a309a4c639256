"""Two surfaces to draw on with the same five strokes: SVG for pages, pixels for PNG.

A Raspberry Pi need not install a plotting library for three charts.
"""

from __future__ import annotations

from html import escape
from typing import Final, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Anchor", "Canvas", "Point", "Raster", "Svg"]

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_CV_ANCHORS: Final = {"start": 0.0, "middle": 0.5, "end": 1.0}
_CV_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CV_UNIT: Final = 30.0
"""Pixels that OpenCV's font is high at scale 1, about."""
_ASCII: Final = str.maketrans({"°": None, "α": "a", "ρ": "r", "×": "x", "–": "-", "→": "-"})
_DASH: Final = 8.0


class Canvas(Protocol):
    """A surface of some width and height; coordinates in pixels from its upper left corner, colours as #rrggbb."""

    def line(self, a: Point, b: Point, colour: str, *, width: float = 1.0, is_dashed: bool = False) -> None:
        """A straight line."""

    def circle(self, centre: Point, radius: float, colour: str, *, is_filled: bool = True, tip: str = "") -> None:
        """A disc or a ring; a page shows ``tip`` where the pointer rests on it."""

    def text(
        self, at: Point, text: str, *, size: float = 12.0, anchor: Anchor = "start", colour: str = "#222222"
    ) -> None:
        """One line of text, its base line's start, middle or end at a point."""


class Svg:
    """Collects SVG elements."""

    def __init__(self, width: int, height: int) -> None:
        self._size, self._parts = (width, height), [f'<rect width="{width}" height="{height}" fill="#ffffff"/>']

    def line(self, a: Point, b: Point, colour: str, *, width: float = 1.0, is_dashed: bool = False) -> None:
        """A straight line."""
        dash = ' stroke-dasharray="6 4"' if is_dashed else ""
        ends = f'x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
        self._parts.append(f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dash}/>')

    def circle(self, centre: Point, radius: float, colour: str, *, is_filled: bool = True, tip: str = "") -> None:
        """A disc or a ring."""
        fill = colour if is_filled else "#ffffff"
        place = f'cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:g}"'
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f'<circle {place} fill="{fill}" stroke="{colour}" stroke-width="1.5">{title}</circle>')

    def text(
        self, at: Point, text: str, *, size: float = 12.0, anchor: Anchor = "start", colour: str = "#222222"
    ) -> None:
        """One line of text."""
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
        self._parts.append(f'<text {place} fill="{colour}">{escape(text)}</text>')

    def element(self) -> str:
        """The whole as one ``<svg>`` element."""
        width, height = self._size
        box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif">'
        return "\n".join([head, *self._parts, "</svg>"])


class Raster:
    """Draws into an array, with OpenCV; its font has ASCII alone."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels: NDArray[np.uint8] = np.full((height, width, 3), 255, np.uint8)
        """uint8 (height, width, 3) BGR."""

    def line(self, a: Point, b: Point, colour: str, *, width: float = 1.0, is_dashed: bool = False) -> None:
        """A straight line."""
        start, end = np.asarray(a), np.asarray(b)
        count = max(1, int(np.hypot(*(end - start)) / _DASH)) if is_dashed else 1
        for number in range(0, count, 2):
            pieces = (start + (end - start) * share / count for share in (number, number + 1))
            first, last = (tuple(round(float(v)) for v in piece) for piece in pieces)
            cv2.line(self.pixels, first, last, _bgr(colour), max(1, round(width)), cv2.LINE_AA)

    def circle(self, centre: Point, radius: float, colour: str, *, is_filled: bool = True, tip: str = "") -> None:
        """A disc or a ring."""
        place = round(centre[0]), round(centre[1])
        if not is_filled:
            cv2.circle(self.pixels, place, round(radius), (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(self.pixels, place, round(radius), _bgr(colour), -1 if is_filled else 1, cv2.LINE_AA)

    def text(
        self, at: Point, text: str, *, size: float = 12.0, anchor: Anchor = "start", colour: str = "#222222"
    ) -> None:
        """One line of text."""
        plain, scale = text.translate(_ASCII).encode("ascii", "replace").decode(), size / _CV_UNIT
        (width, _), _ = cv2.getTextSize(plain, _CV_FONT, scale, 1)
        place = round(at[0] - _CV_ANCHORS[anchor] * width), round(at[1])
        cv2.putText(self.pixels, plain, place, _CV_FONT, scale, _bgr(colour), 1, cv2.LINE_AA)


def _bgr(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return blue, green, red
