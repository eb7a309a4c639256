"""The clip that ships with the package."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.sources import clip
from camera_demo.sources.base import Source
from camera_demo.stop import Stop

__all__ = ["DEMO_CLIP", "opener"]

DEMO_CLIP: Final = "clips/digits.mp4"
"""Its path within this package."""


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the clip; ``place`` is not used.

    Raises:
        SourceError: The installation lacks it.
    """
    path = Path(str(files("camera_demo"))) / DEMO_CLIP
    if not path.is_file():
        raise SourceError(f"The demo clip {path} is missing: install mobilenet-edge again.")
    return clip.opener(str(path), capture_format)
