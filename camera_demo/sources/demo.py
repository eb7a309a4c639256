"""The clip that ships with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from camera_demo.sources.clip import ClipSource
from edge.errors import SourceError

__all__ = ["DEMO_CLIP", "open_source"]

DEMO_CLIP: Final = "clips/digits.mp4"
"""Its path within this package."""


def open_source(place: str) -> ClipSource:
    """Open the clip; ``place`` is not used.

    Raises:
        SourceError: The installation lacks it.
    """
    path = Path(str(files("camera_demo"))) / DEMO_CLIP
    if not path.is_file():
        raise SourceError(f"The demo clip {path} is missing: install mobilenet-edge again.")
    return ClipSource(path)
