"""What may be asked of a source when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from camera_demo.errors import SourceError

__all__ = ["CaptureFormat", "Flip"]

Flip = Literal["none", "horizontal", "vertical", "clockwise", "counterclockwise", "rotate-180"]
"""How a picture is turned or mirrored, in jetson-utils' words."""
_SIDES: Final = (16, 16384)
_RATES_HZ: Final = (0.1, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFormat:
    """The form of the pictures that a camera is asked for; files keep their own, but may be turned."""

    width: int = 640
    height: int = 480
    rate_hz: float | None = None
    """Frames a second; None for what the camera does by itself."""
    codec: str = "MJPG"
    """Four letters. Webcams give few frames a second in other forms, for want of bandwidth."""
    flip: Flip = "none"

    def __post_init__(self) -> None:
        if not all(_SIDES[0] <= side <= _SIDES[1] for side in (self.width, self.height)):
            raise SourceError(
                f"A picture of {self.width}x{self.height} makes no sense: expected {_SIDES[0]} to {_SIDES[1]} pixels "
                "each way."
            )
        if self.rate_hz is not None and not _RATES_HZ[0] <= self.rate_hz <= _RATES_HZ[1]:
            raise SourceError(
                f"{self.rate_hz:g} frames a second make no sense: expected {_RATES_HZ[0]:g} to {_RATES_HZ[1]:g}."
            )
        if not (len(self.codec) == 4 and self.codec.isascii() and self.codec.isprintable()):
            raise SourceError(f"'{self.codec}' is no codec: expected four letters, e.g. MJPG, YUYV.")
        if self.flip not in get_args(Flip):
            raise SourceError(f"'{self.flip}' is no way to turn a picture: expected {', '.join(get_args(Flip))}.")
