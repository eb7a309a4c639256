"""A video file, every frame of it."""

from __future__ import annotations

import codecs
import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop
from camera_demo.video_files import is_cut_short, safe_name
from edge.errors import opencv_reason, os_reason
from edge.files import shown_name
from edge.vision.preprocess import Frame

__all__ = ["ClipSource", "opener"]

_log = logging.getLogger(__name__)

_USUAL_HZ: Final = 30.0
_HEAD_BYTES: Final = 4096
_CLOCK_HZ: Final = 1000
"""A rate that no camera has."""
_PICTURE_CODECS: Final = (b"MJPG", b"MPNG", b"png ", b"gif ", b"BMP ", b"WEBP")
_AUDIO_SUFFIXES: Final = frozenset({".mp3", ".m4a", ".wav", ".flac", ".ogg", ".opus", ".aac", ".wma", ".aiff", ".mka"})
_WHOLE_SHARE: Final = 0.9
"""A clip that ends before this share of its stated length is cut short; containers state it with some slack."""


class ClipSource:
    """An opened video file."""

    is_live = False

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open a clip and decode its first frame.

        Raises:
            SourceError: It is missing, empty, damaged or no video.
        """
        self.name, self.dropped = shown_name(path.name), 0
        self._path, self._shown, self._clock = path, shown_name(path), clock
        _check_file(path)
        self._opened = contextlib.ExitStack()
        self._reader = _reader()
        self._capture = cv2.VideoCapture(self._opened.enter_context(safe_name(path)), self._reader)
        if not self._capture.isOpened():
            self._opened.close()
            if path.suffix.lower() in _AUDIO_SUFFIXES:
                raise SourceError(f"{self._shown} is an audio file without a picture: expected a video.")
            raise SourceError(
                f"{self._shown} cannot be opened as a video: it is damaged, cut short or of an unknown format."
            )
        if _is_cover(self._capture):
            self.close()
            raise SourceError(f"{self._shown} is an audio file whose only picture is its cover: expected a video.")
        self._length_s, self.rate_hz = _length(self._capture)
        self._first = self._read()
        if self._first is None:
            self.close()
            raise SourceError(f"Video {self._shown} has no frame that can be decoded: it is damaged or cut short.")

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame in order.

        Each stands at its own time stamp, where the file has some: the rate may vary.

        Raises:
            SourceError: The file is cut short.
        """
        frame, index, position_s = self._first, 0, self._position_s(0, 0.0)
        self._first = None
        while frame is not None and not stop.is_requested:
            yield CapturedFrame(image=frame, index=index, captured_at_s=self._clock(), position_s=position_s)
            frame, index = self._read(), index + 1
            if frame is not None:
                position_s = self._position_s(index, position_s)
        end_s = max(index / self.rate_hz, position_s + 1 / self.rate_hz)
        if frame is None and end_s < _WHOLE_SHARE * self._length_s:
            self._judge(end_s, index)

    def _position_s(self, index: int, last_s: float) -> float:
        """The time stamp of the frame that was read last; by the rate where there is none, or it runs backwards."""
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._reader == cv2.CAP_FFMPEG else math.nan
        if index and not (math.isfinite(stamp_s) and last_s < stamp_s):
            return max(last_s, index / self.rate_hz)
        return stamp_s if math.isfinite(stamp_s) and stamp_s >= 0 else 0.0

    def _judge(self, end_s: float, count: int) -> None:
        """The picture ended before the stated length: a damaged file, or only sound or an edit list that goes on.

        Raises:
            SourceError: The file announces more bytes than it has.
        """
        ends = f"Video {self._shown} breaks off after {end_s:.1f} s of {self._length_s:.1f} s ({count} frames)"
        if is_cut_short(self._path):
            raise SourceError(f"{ends}: it is damaged or cut short. Copy it again.")
        _log.info("%s; nothing says that the file was cut.", ends.replace("breaks off", "has its last picture"))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
        self._opened.close()

    def _read(self) -> Frame | None:
        try:
            is_read, image = self._capture.read()
        except cv2.error as reason:
            raise SourceError(f"Video {self._shown} cannot be decoded: {opencv_reason(reason)}.") from reason
        return np.asarray(image, np.uint8) if is_read else None


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the clip at the path ``place``, in its own form.

    It raises :class:`SourceError` when the clip is missing, empty, damaged or no video.
    """
    return lambda stop: ClipSource(Path(place))


def _check_file(path: Path) -> None:
    shown = shown_name(path)
    try:
        size_bytes = path.stat().st_size
    except OSError as reason:
        raise SourceError(f"Cannot read video {shown}: {os_reason(reason)}.") from reason
    if not path.is_file():
        raise SourceError(f"{shown} is not a file: expected a video.")
    if not os.access(path, os.R_OK):
        raise SourceError(f"Cannot read video {shown}: permission denied. Make it readable: chmod +r {shown}.")
    if not size_bytes:
        raise SourceError(f"Video {shown} is empty: the file has no bytes.")
    if _is_text(path):
        raise SourceError(f"{shown} is a text file: expected a video file.")


def _is_text(path: Path) -> bool:
    """Whether the file begins as a text; FFmpeg would paint it, or follow the addresses in it."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _reader() -> int:
    """FFmpeg where OpenCV has it: asking it first keeps the other readers from complaining of each file."""
    has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    return cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY


def _is_cover(capture: cv2.VideoCapture) -> bool:
    """Whether the picture is an audio file's cover: FFmpeg gives it the tick of its clock for a rate."""
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    return capture.get(cv2.CAP_PROP_FPS) >= _CLOCK_HZ and codec in _PICTURE_CODECS


def _length(capture: cv2.VideoCapture) -> tuple[float, float]:
    """The clip's stated length in seconds, 0 where it states none, and its frames a second."""
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    rate_hz = rate_hz if 0 < rate_hz <= 1000 else _USUAL_HZ
    return max(0.0, capture.get(cv2.CAP_PROP_FRAME_COUNT) / rate_hz), rate_hz
