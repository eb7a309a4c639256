"""OpenCV's environment variables, which it reads once, when it is imported."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["prepare_opencv"]

_SETTINGS: Final = {
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1",  # seconds a camera's read may block; OpenCV waits 10
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp",  # over UDP, lost packets smear the picture
}
_SILENCE: Final = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
"""This program reports the errors of OpenCV's readers itself, on one line."""


def prepare_opencv(*, is_silent: bool) -> None:
    """Set OpenCV's environment variables that the user did not. Call it before anything imports ``cv2``."""
    for name, value in {**_SETTINGS, **(_SILENCE if is_silent else {})}.items():
        os.environ.setdefault(name, value)
