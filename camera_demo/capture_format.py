"""The format to request from a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from camera_demo.errors import SourceError

__all__ = ["CaptureFormat", "Flip"]

Flip = Literal["none", "horizontal", "vertical", "clockwise", "counterclockwise", "rotate-180"]
"""How a picture is rotated or mirrored, in jetson-utils' terms."""
_SIDES: Final = (16, 16384)
_RATES_HZ: Final = (0.1, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFormat:
    """Size, rate and pixel format to request from a camera; of files only :attr:`flip` counts."""

    width: int = 640
    height: int = 480
    rate_hz: float | None = None
    """Frames a second; None for the camera's own."""
    codec: str = "MJPG"
    """Pixel format, four letters. In others than MJPG, webcams give few frames a second, for want of bandwidth."""
    flip: Flip = "none"

    def __post_init__(self) -> None:
        if not all(_SIDES[0] <= side <= _SIDES[1] for side in (self.width, self.height)):
            raise SourceError(
                f"invalid capture size {self.width}x{self.height}: expected {_SIDES[0]} to {_SIDES[1]} pixels each way."
            )
        if self.rate_hz is not None and not _RATES_HZ[0] <= self.rate_hz <= _RATES_HZ[1]:
            raise SourceError(
                f"invalid capture rate {self.rate_hz:g}: expected {_RATES_HZ[0]:g} to {_RATES_HZ[1]:g} frames a second."
            )
        if not (len(self.codec) == 4 and self.codec.isascii() and self.codec.isprintable()):
            raise SourceError(f"invalid codec '{self.codec}': expected four letters, e.g. MJPG, YUYV.")
        if self.flip not in get_args(Flip):
            raise SourceError(f"invalid flip '{self.flip}': expected {', '.join(get_args(Flip))}.")
