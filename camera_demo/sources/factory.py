"""From a URI to an opened source that keeps time, repeats, comes back, or drops what is late, as asked."""

from __future__ import annotations

import importlib
from typing import Protocol

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.options import Playback
from camera_demo.sources.base import LiveSource, Source
from camera_demo.sources.flipped import TurnedSource
from camera_demo.sources.paced import PacedSource
from camera_demo.sources.prefetch import latest_frames, read_ahead
from camera_demo.sources.reconnecting import Opener, ReconnectingSource, Report
from camera_demo.sources.repeated import RepeatedSource
from camera_demo.stop import Stop
from camera_demo.uri import Uri

__all__ = ["open_source"]


class _Module(Protocol):
    def opener(self, place: str, capture_format: CaptureFormat) -> Opener:
        """A function that opens what ``place`` names, again and again."""


def open_source(
    uri: Uri,
    report: Report,
    *,
    capture_format: CaptureFormat = CaptureFormat(),
    playback: Playback = Playback(),
) -> LiveSource:
    """Open a source.

    A camera always gives its newest frame, and is opened again when it breaks off. Files give every frame, as fast as
    they are taken; paced, they play at their own rate and drop what is late, as a camera does.

    Args:
        uri: What to open.
        report: Called with the status of a camera.
        capture_format: The form of the pictures to ask for.
        playback: How to play it.

    Raises:
        SourceError: It cannot be opened.
        ImageError: It is a folder that cannot be read.
    """
    module: _Module = importlib.import_module(f"camera_demo.sources.{uri.scheme.module}")
    if uri.scheme.is_live and (playback.loop or playback.pace is False):
        raise SourceError(f"{uri.name} is a camera: repeating and pacing are for files.")
    opener = module.opener(uri.location, capture_format)
    if uri.scheme.is_live:
        return latest_frames(_turned(_live(uri, opener, report, wait=playback.wait), capture_format))
    source = _turned(opener(Stop()), capture_format)
    report.found(source.name)
    if playback.loop:
        source = RepeatedSource(source, lambda: _turned(opener(Stop()), capture_format))
    if playback.pace or (playback.pace is None and uri.scheme.keeps_time):
        return latest_frames(PacedSource(source))
    return read_ahead(source)


def _turned(source: Source, capture_format: CaptureFormat) -> Source:
    return source if capture_format.flip == "none" else TurnedSource(source, capture_format.flip)


def _live(uri: Uri, opener: Opener, report: Report, *, wait: bool) -> Source:
    source: Source | None = None
    try:
        source = opener(Stop())
    except SourceError as reason:
        if not wait:
            raise
        report.lost(uri.name, str(reason))
    return ReconnectingSource(source, opener, report, name=uri.name)
