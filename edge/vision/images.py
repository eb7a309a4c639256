"""Pictures on disk: which files of a folder are pictures, and one picture as a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.errors import ImageError, opencv_reason, os_reason
from edge.vision.preprocess import Frame

__all__ = ["IMAGE_SUFFIXES", "image_files", "read_image"]

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
"""File name endings taken for pictures, in lower case."""


def image_files(folder: Path) -> list[Path]:
    """The pictures below ``folder`` by their endings, sorted by path. Hidden files are passed over.

    Raises:
        ImageError: There is no such folder, or it cannot be read.
    """
    try:
        if not folder.is_dir():
            raise ImageError(f"There is no folder {folder}: expected a folder with pictures in it.")
        files = [p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    except OSError as reason:
        raise ImageError(f"Cannot read folder {folder}: {os_reason(reason)}.") from reason
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def read_image(path: Path) -> Frame:
    """The picture in ``path`` as a frame, uint8 (height, width, 3) BGR, turned as its EXIF says.

    Greyscale becomes three equal channels, 16 bits become 8, transparency is dropped.

    Raises:
        ImageError: The file is missing, is no picture, or is cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as reason:
        raise ImageError(f"Cannot read image {path}: {os_reason(reason)}.") from reason
    if not data:
        raise ImageError(f"Image {path} is empty: the file has no bytes.")
    if _is_cut_short(data):
        raise ImageError(f"Image {path} is cut short: its end marker is missing. Copy the file again.")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as reason:
        raise ImageError(f"Image {path} cannot be decoded: {opencv_reason(reason)}.") from reason
    if frame is None:
        raise ImageError(f"{path} is not an image that OpenCV can read: expected JPEG, PNG, BMP, WebP, PNM or TIFF.")
    return np.asarray(frame, np.uint8)


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; decoders would fill the missing part with grey and say nothing.

    In a JPEG an end marker must follow the last start of a scan: entropy-coded bytes contain neither, and a
    thumbnail's own markers stand before the picture's scan.
    """
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in data
    return False
