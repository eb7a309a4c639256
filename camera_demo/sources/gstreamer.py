"""Frames from a GStreamer pipeline: inside OpenCV where it was built with GStreamer, else from a child process.

OpenCV's wheels have no GStreamer, and a Jetson's ribbon cameras have no other way.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final

import cv2
import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.stop import Stop
from edge.vision.preprocess import Frame

__all__ = ["ChildPipeline", "OpenCVPipeline", "has_gstreamer"]

_FIRST_FRAME_S: Final = 10.0
_SILENT_S: Final = 3.0
_POLL_S: Final = 0.1
_END_S: Final = 2.0
_TOLD_BYTES: Final = 2000
_USUAL_HZ: Final = 30.0
_RAW: Final = "video/x-raw,format=BGR"


class ChildPipeline:
    """A ``gst-launch-1.0`` that writes raw pictures into a pipe, one after the other."""

    is_live = True

    def __init__(
        self,
        name: str,
        elements: str,
        capture_format: CaptureFormat,
        *,
        stop: Stop | None = None,
        program: Sequence[str] = ("gst-launch-1.0",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the pipeline and wait for its first picture.

        Args:
            name: What the source is, for people.
            elements: The pipeline up to raw video of the size in ``capture_format``.
            capture_format: The size and rate of the pictures.
            stop: Ends the waiting when requested.
            program: The command that runs a pipeline.
            clock: The clock that stamps frames.

        Raises:
            SourceError: GStreamer is not installed, or the pipeline gives no picture; the message has its reason.
        """
        self.name, self.dropped, self.rate_hz = name, 0, capture_format.rate_hz or _USUAL_HZ
        self._clock, self._program = clock, program
        self._stride = -(-3 * capture_format.width // 4) * 4  # GStreamer pads each row to four bytes
        self._shape = capture_format.height, capture_format.width
        if shutil.which(program[0]) is None:
            raise SourceError(f"{name} needs {program[0]}: sudo apt-get install gstreamer1.0-tools.")
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._pipe, self._child = self._start(elements)
        self._first = self._read(stop or Stop(), _FIRST_FRAME_S)
        if self._first is None:
            reason = self._reason()
            self.close()
            raise SourceError(f"{name} gives no picture: {reason}")

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame, stamped with its arrival.

        Raises:
            SourceError: The pipeline ended, or gave nothing for three seconds.
        """
        frame, index, start_s = self._first, 0, self._clock()
        self._first = None
        while frame is not None:
            now_s = self._clock()
            yield CapturedFrame(image=frame, index=index, captured_at_s=now_s, position_s=now_s - start_s)
            frame, index = self._read(stop, _SILENT_S), index + 1
        if not stop.is_requested:
            raise SourceError(f"{self.name} broke off after {index} frames: {self._reason()}")

    def close(self) -> None:
        """End the child. A second call does nothing."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self._errors.close()

    def _start(self, elements: str) -> tuple[int, subprocess.Popen[bytes]]:
        """The pipe's end to read from, and the child. Its standard output will not do: drivers print there."""
        reader, writer = os.pipe()
        pipeline = f"{elements} ! {_RAW} ! fdsink fd={writer} sync=false"
        try:
            child = subprocess.Popen(
                [*self._program, "-q", *pipeline.split()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=(writer,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader, child

    def _read(self, stop: Stop, patience_s: float) -> Frame | None:
        """The next picture; None at the end, when asked to stop, or when nothing comes for ``patience_s``."""
        height, width = self._shape
        buffer = np.empty((height, self._stride), np.uint8)
        rest = memoryview(buffer.data).cast("B")
        last_s = self._clock()
        while rest and not stop.is_requested and self._clock() - last_s < patience_s:
            if not select.select([self._pipe], [], [], _POLL_S)[0]:
                continue
            count = os.readv(self._pipe, [rest])
            if not count:
                return None
            rest, last_s = rest[count:], self._clock()
        return None if rest else buffer[:, : 3 * width].reshape(height, width, 3)

    def _reason(self) -> str:
        """What the pipeline said last, on one line."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_POLL_S)
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _TOLD_BYTES))
        lines = self._errors.read().decode(errors="replace").splitlines()
        message_text = next((line.strip() for line in lines if "ERROR" in line), lines[-1].strip() if lines else "")
        ended = "is still running" if self._child.poll() is None else f"ended with status {self._child.returncode}"
        return f"{message_text or 'GStreamer says nothing'} ({self._program[0]} {ended})."


class OpenCVPipeline:
    """A pipeline inside OpenCV. Reads block for up to three seconds."""

    is_live = True

    def __init__(self, name: str, elements: str, capture_format: CaptureFormat) -> None:
        """Start the pipeline.

        Raises:
            SourceError: It gives no picture.
        """
        self.name, self.dropped, self.rate_hz = name, 0, capture_format.rate_hz or _USUAL_HZ
        pipeline = f"{elements} ! {_RAW} ! appsink drop=true max-buffers=1 sync=false"
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1e3 * _FIRST_FRAME_S)]
        patience += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1e3 * _SILENT_S)]
        self._capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, patience)
        if not self._capture.isOpened() or not self._capture.grab():
            self.close()
            raise SourceError(f"{name} gives no picture. Try it by hand: gst-launch-1.0 {elements} ! fakesink")

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame, stamped with its arrival.

        Raises:
            SourceError: The pipeline gave nothing for three seconds.
        """
        index, start_s = 0, time.monotonic()
        while not stop.is_requested:
            is_read, image = self._capture.read()
            if not is_read:
                raise SourceError(f"{self.name} broke off after {index} frames: the pipeline gives no more.")
            now_s, picture = time.monotonic(), np.asarray(image, np.uint8)
            yield CapturedFrame(image=picture, index=index, captured_at_s=now_s, position_s=now_s - start_s)
            index += 1

    def close(self) -> None:
        """End the pipeline."""
        self._capture.release()


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer, as a Jetson's own is. The list of its readers names it anyway."""
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None
