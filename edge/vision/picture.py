"""Whatever can be classified, as a frame: arrays, picture files and their bytes, PIL images."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ImageError
from edge.paths import AnyPath
from edge.vision.images import read_image
from edge.vision.preprocess import Frame

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Picture", "as_frame"]

Picture: TypeAlias = "NDArray[Any] | AnyPath | bytes | Image"
"""What can be classified: uint8 (height, width, 3) BGR, a file's path, the bytes of such a file, or a PIL image."""

_UNBOUNDED_MODES: Final = ("I", "F")
"""PIL's modes of 32-bit numbers, which do not say what is white; PIL cuts them off at 255."""


def as_frame(picture: object, *, rgb: bool = False) -> Frame:
    """Any picture as a frame, uint8 (height, width, 3) BGR.

    Args:
        picture: A :data:`Picture`. A PIL image is turned as its EXIF says, like a file.
        rgb: Whether an array's channels are in the order RGB.

    Raises:
        ImageError: It is none of these, or cannot be read.
    """
    if isinstance(picture, (str, PathLike, bytes)):
        return read_image(picture)
    if isinstance(picture, (bytearray, memoryview)):
        return read_image(bytes(picture))
    if isinstance(picture, np.ndarray):
        is_colour = picture.ndim == 3 and picture.shape[2] == 3  # others are refused by the preprocessing
        return np.ascontiguousarray(picture[..., ::-1]) if rgb and is_colour else picture
    if picture is None:
        raise ImageError("There is no picture: cv2.imread returns None when a file cannot be read.")
    if hasattr(picture, "getexif") and hasattr(picture, "convert"):
        return _of_pil(picture)
    raise ImageError(
        f"Cannot classify a {type(picture).__name__}: expected a path, a uint8 (height, width, 3) BGR array, the bytes "
        "of a picture file or a PIL image."
    )


def _of_pil(image: Any) -> Frame:
    from PIL import ImageOps  # there is an image of it, so it is installed

    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16") or (upright.mode == "I" and image.format == "PNG"):  # as older PILs open it
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return np.ascontiguousarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        if upright.mode in _UNBOUNDED_MODES:
            raise ImageError(
                f"The PIL image has the mode {upright.mode}, which does not say what is white: scale it to 0 to 255 "
                "and convert it to L or RGB."
            )
        if upright.mode == "P":
            upright = upright.convert("RGBA")  # straight to RGB, PIL warns of transparency
        pixels = np.asarray(upright.convert("RGB"), np.uint8)
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError) as reason:
        raise ImageError(f"The PIL image cannot be decoded: {reason}.") from reason
    return np.ascontiguousarray(pixels[..., ::-1])
