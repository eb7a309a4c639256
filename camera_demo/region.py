"""A region of interest: the part of the picture that is classified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from camera_demo.errors import SourceError

if TYPE_CHECKING:
    from edge.vision.preprocess import Frame

__all__ = ["Region"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle in fractions of the picture's width and height, so that it holds for every size."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise SourceError(
                f"invalid region {self.left:g},{self.top:g},{self.right:g},{self.bottom:g}: expected LEFT,TOP,RIGHT,"
                "BOTTOM as fractions from 0 to 1, e.g. 0.25,0,0.75,1 for the middle half."
            )

    @classmethod
    def parse(cls, text: str) -> Region:
        """The region in ``LEFT,TOP,RIGHT,BOTTOM``.

        >>> Region.parse("0.25,0,0.75,1").box(480, 640)
        (160, 0, 480, 480)

        Raises:
            SourceError: The text is not four numbers, or they are not a rectangle.
        """
        try:
            left, top, right, bottom = (float(part) for part in text.split(","))
        except ValueError:
            raise SourceError(
                f"invalid region '{text}': expected LEFT,TOP,RIGHT,BOTTOM as fractions from 0 to 1, e.g. 0.25,0,0.75,1."
            ) from None
        return cls(left=left, top=top, right=right, bottom=bottom)

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of a picture; at least one pixel each way."""
        left, top = min(round(self.left * width), width - 1), min(round(self.top * height), height - 1)
        return left, top, max(left + 1, round(self.right * width)), max(top + 1, round(self.bottom * height))

    def of(self, image: Frame) -> Frame:
        """The region of ``image``, uint8 (height, width, 3), without a copy."""
        left, top, right, bottom = self.box(*image.shape[:2])
        return image[top:bottom, left:right]
