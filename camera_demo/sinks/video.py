"""An annotated video file, which is whole or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.sinks.base import SinkContext
from camera_demo.uri import VIDEO_CODECS
from camera_demo.video_files import safe_name
from edge.errors import OutputError, os_reason
from edge.files import shown_name
from edge.unfinished import begin, finish
from edge.vision.preprocess import Frame

__all__ = ["VideoSink", "open_sink"]

_USUAL_HZ: Final = 30.0
_LONGEST_GAP_S: Final = 10.0
_CHECK_FRAMES: Final = 30
_RESERVE_BYTES: Final = 4 << 20
"""Space that must stay free: OpenCV says nothing when a disk runs full."""


class VideoSink:
    """Writes to a hidden file beside the one asked for, which takes its name when it is found to be whole."""

    wants_picture = True

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Claim the file.

        Raises:
            OutputError: It cannot be written there.
        """
        self._path, self._rate_hz = path, rate_hz
        self._writer: cv2.VideoWriter | None = None
        self._size, self._written, self._skipped, self._next_check = (0, 0), 0, 0, 0
        self._opened = contextlib.ExitStack()
        self._part: Path | None = _part_of(path)
        begin(self._part)

    def show(self, result: Result) -> None:
        """Write the picture, as often as it takes to keep the stream's time.

        Raises:
            OutputError: The disk is full, or OpenCV cannot write such a file; nothing is left behind.
        """
        if result.picture is None or self._part is None:
            return
        if self._writer is None:
            self._writer = self._begin(result.picture)
        if self._written >= self._next_check:
            self._check_space()
        picture = _fitted(result.picture, self._size)
        for _ in range(self._due(result.frame.position_s)):
            self._writer.write(picture)
            self._written += 1

    def on_event(self, event: Event) -> None:
        """Nothing: the video shows answers."""

    def close(self) -> None:
        """Finish the file, check it and give it its name; without a frame there is no file.

        Raises:
            OutputError: The file is not whole; it was removed, and one that stood there before still does.
        """
        if self._part is None:
            return
        if self._writer is None:
            self._abandon()
            return
        self._writer.release()
        self._opened.close()
        if not _is_whole(self._part, self._written):
            self._abandon()
            raise OutputError(
                f"Cannot write {shown_name(self._path)}: the video came out damaged, most likely the disk is full."
            )
        try:
            self._part.replace(self._path)
        except OSError as reason:
            self._abandon()
            raise OutputError(f"Cannot write {shown_name(self._path)}: {os_reason(reason)}.") from reason
        finish(self._part)
        self._part = None

    def _due(self, position_s: float) -> int:
        """How many frames the file lacks up to this position; of a long silence only some seconds are kept."""
        due = round(position_s * self._rate_hz) + 1 - self._written - self._skipped
        longest = round(_LONGEST_GAP_S * self._rate_hz)
        self._skipped += max(0, due - longest)
        return max(0, min(due, longest))

    def _begin(self, picture: Frame) -> cv2.VideoWriter:
        # Most codecs halve the colour planes, so odd sides lose a row or a column.
        height, width = (max(2, side - side % 2) for side in picture.shape[:2])
        self._size = (width, height)
        for size in (self._size, *_smaller(self._size)):
            for rate_hz in dict.fromkeys((self._rate_hz, *(round(self._rate_hz, digits) for digits in (2, 1, 0)))):
                if rate_hz > 0 and (writer := self._writer_of(rate_hz, size)).isOpened():
                    self._rate_hz, self._size = rate_hz, size
                    return writer
        self._abandon()
        raise OutputError(
            f"Cannot write {shown_name(self._path)}: this OpenCV has no encoder for it. Try another ending: "
            f"{', '.join(VIDEO_CODECS)}."
        )

    def _writer_of(self, rate_hz: float, size: tuple[int, int]) -> cv2.VideoWriter:
        """A writer, which is not open where the encoder takes no such rate or size: MPEG-4 counts in 16 bits."""
        assert self._part is not None
        codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self._path.suffix.lower()])
        folder = self._opened.enter_context(safe_name(self._part.parent))
        return cv2.VideoWriter(f"{folder}/{self._part.name}", codec, rate_hz, size)

    def _check_space(self) -> None:
        self._next_check = self._written + _CHECK_FRAMES
        if shutil.disk_usage(self._path.parent).free < _RESERVE_BYTES:
            self._abandon()
            raise OutputError(
                f"Cannot write {shown_name(self._path)}: no space left on device after {self._written} frames. "
                "Free some space; nothing half-written was kept."
            )

    def _abandon(self) -> None:
        part, self._part = self._part, None
        if self._writer is not None:
            self._writer.release()
        self._opened.close()
        if part is not None:
            part.unlink(missing_ok=True)
            finish(part)


def open_sink(place: str, context: SinkContext) -> VideoSink:
    """Begin the video at the path ``place``, at the source's rate.

    Raises:
        OutputError: It cannot be written there.
    """
    return VideoSink(Path(place), context.rate_hz or _USUAL_HZ)


def _part_of(path: Path) -> Path:
    """An empty file beside ``path``, with the same ending, as OpenCV chooses the container by it."""
    name = shown_name(path)
    if path.is_dir():
        raise OutputError(f"Cannot write {name}: it is a folder.")
    part = path.with_name(f".video-{os.getpid()}-{os.urandom(4).hex()}{path.suffix.lower()}")
    try:
        part.open("wb").close()
    except FileNotFoundError as reason:
        raise OutputError(
            f"Cannot write {shown_name(path)}: there is no folder {path.parent}. Make it first."
        ) from reason
    except OSError as reason:
        raise OutputError(
            f"Cannot write {shown_name(path)}: {os_reason(reason)}. Choose a folder that is yours."
        ) from reason
    return part


def _fitted(picture: Frame, size: tuple[int, int]) -> Frame:
    """The picture in a video's size, with black bars where its shape is another."""
    width, height = size
    rows, columns = picture.shape[:2]
    if (rows - rows % 2, columns - columns % 2) == (height, width):
        return picture[:height, :width]
    scale = min(width / columns, height / rows)
    inner = max(1, min(width, round(columns * scale))), max(1, min(height, round(rows * scale)))
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    right, bottom = width - inner[0] - left, height - inner[1] - top
    framed = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return np.asarray(framed, np.uint8)


def _is_whole(path: Path, frames: int) -> bool:
    """Whether a video can be opened again and has as many frames as were written."""
    with safe_name(path) as name:
        video = cv2.VideoCapture(name)
        try:
            return bool(video.isOpened() and video.get(cv2.CAP_PROP_FRAME_COUNT) >= frames - 1 and video.read()[0])
        finally:
            video.release()


def _smaller(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes to fall back on where an encoder takes no picture as large: at most 4096 and 1920 pixels a side."""
    scales = [longest / max(size) for longest in (4096, 1920) if max(size) > longest]
    return [(max(2, int(size[0] * s) // 2 * 2), max(2, int(size[1] * s) // 2 * 2)) for s in scales]
