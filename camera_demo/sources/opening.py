"""From a URI to an opened source that keeps time, repeats, or drops what is late, as asked."""

from __future__ import annotations

import importlib
from typing import Protocol

from camera_demo.sources.contract import Source
from camera_demo.sources.latest import LatestFrames
from camera_demo.sources.paced import PacedSource
from camera_demo.sources.repeated import RepeatedSource
from camera_demo.uri import Uri
from edge.errors import SourceError

__all__ = ["open_source"]


class _Module(Protocol):
    def open_source(self, place: str) -> Source:
        """Open what ``place`` names."""


def open_source(uri: Uri, *, pace: bool | None = None, loop: bool = False) -> Source:
    """Open a source.

    A camera always gives its newest frame. Files give every frame, as fast as they are taken; paced, they play at
    their own rate and drop what is late, as a camera does.

    Args:
        uri: What to open.
        pace: Whether to play at the source's own rate; None for what is natural to it.
        loop: Whether to begin again at the end.

    Raises:
        SourceError: It cannot be opened.
        ImageError: It is a folder that cannot be read.
    """
    module: _Module = importlib.import_module(f"camera_demo.sources.{uri.scheme.module}")
    source = module.open_source(uri.place)
    if source.is_live:
        if loop or pace is False:
            source.close()
            raise SourceError(f"{source.name} is a camera: --loop and --no-pace are for files.")
        return LatestFrames(source)
    if loop:
        source = RepeatedSource(source, lambda: module.open_source(uri.place))
    if pace or (pace is None and uri.scheme.keeps_time):
        return LatestFrames(PacedSource(source))
    return source
