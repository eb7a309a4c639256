"""A small JPEG of a frame."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["jpeg", "scaled_down"]

_QUALITY: Final = 80


def jpeg(image: Frame, width: int) -> bytes:
    """``image``, uint8 (height, width, 3) BGR, as JPEG of at most ``width`` pixels across."""
    _, data = cv2.imencode(".jpg", scaled_down(image, width), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def scaled_down(image: Frame, width: int) -> Frame:
    """``image`` of at most ``width`` pixels across."""
    rows, columns = image.shape[:2]
    if columns <= width:
        return image
    size = width, max(1, round(rows * width / columns))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
