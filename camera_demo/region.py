"""Regions of interest: the parts of the picture that are classified."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from camera_demo.errors import SourceError

if TYPE_CHECKING:
    from edge.vision.preprocess import Frame

__all__ = ["Region", "check_names", "parse_regions"]

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,38}[A-Za-z0-9])?")
"""Names that may stand in MQTT topics, metrics and file names as they are."""
_MOST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle in fractions of the picture's width and height, so that it holds for every size."""

    left: float
    top: float
    right: float
    bottom: float
    name: str = ""
    """What its answers go by; empty for the only one."""

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise SourceError(
                f"invalid region name {self.name!r}: expected up to 40 letters, digits, spaces, dots, _ or -, e.g. "
                "door."
            )
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise SourceError(
                f"invalid region {self.left:g},{self.top:g},{self.right:g},{self.bottom:g}: expected LEFT,TOP,RIGHT,"
                "BOTTOM as fractions from 0 to 1, LEFT below RIGHT and TOP below BOTTOM, e.g. 0.25,0,0.75,1 for the "
                "middle half."
            )

    @classmethod
    def parse(cls, text: str) -> Region:
        """The region in ``LEFT,TOP,RIGHT,BOTTOM`` or ``NAME=LEFT,TOP,RIGHT,BOTTOM``.

        >>> Region.parse("0.25,0,0.75,1").box(480, 640)
        (160, 0, 480, 480)

        Raises:
            SourceError: The text is not four numbers, they are not a rectangle, or the name is invalid.
        """
        try:
            name, is_named, shares = text.rpartition("=")
            left, top, right, bottom = (float(part) for part in shares.split(","))
        except ValueError:
            raise SourceError(
                f"invalid region '{text}': expected LEFT,TOP,RIGHT,BOTTOM as fractions from 0 to 1, e.g. "
                "0.25,0,0.75,1, or with a name: door=0.25,0,0.75,1."
            ) from None
        if is_named and not name:
            raise SourceError(f"invalid region '{text}': expected a name before '=', e.g. door{text}.")
        return cls(left=left, top=top, right=right, bottom=bottom, name=name)

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


def parse_regions(texts: Sequence[str]) -> tuple[Region, ...]:
    """The regions of several texts, in their order.

    >>> [region.name for region in parse_regions(["door=0,0,0.5,1", "gate=0.5,0,1,1"])]
    ['door', 'gate']

    Raises:
        SourceError: One is invalid, two have the same name, or one of several has none.
    """
    regions = tuple(Region.parse(text) for text in texts)
    check_names(regions)
    return regions


def check_names(regions: Sequence[Region]) -> None:
    """Refuse regions that their names do not tell apart.

    Raises:
        SourceError: Two have the same name, one of several has none, or there are too many.
    """
    if len(regions) > _MOST:
        raise SourceError(f"too many regions: {len(regions)}; at most {_MOST} are classified in turn.")
    names = [re.sub(r"[ ._-]+", "-", region.name.casefold()) for region in regions]  # as topics have them
    for region, name in zip(regions, names, strict=True):
        if not name and len(regions) > 1:
            raise SourceError("one of several regions has no name: name each, e.g. --roi door=0,0,0.5,1.")
        if names.count(name) > 1:
            raise SourceError(f"duplicate region name '{region.name}': give each region its own name.")
