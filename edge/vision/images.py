"""Pictures on disk: which files of a folder are pictures, and one picture as a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2
import numpy as np

from edge.errors import ImageError, opencv_reason, os_reason
from edge.vision.preprocess import Frame

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["IMAGE_SUFFIXES", "Picture", "as_frame", "image_files", "read_image"]

Picture: TypeAlias = "Frame | str | Path | Image"
"""What can be classified: uint8 (height, width, 3) BGR, a file's path, or a PIL image."""

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


def as_frame(picture: object, *, rgb: bool = False) -> Frame:
    """Any picture as a frame, uint8 (height, width, 3) BGR.

    Args:
        picture: A :data:`Picture`. A PIL image is turned as its EXIF says, like a file.
        rgb: Whether an array's channels are in the order RGB.

    Raises:
        ImageError: It is none of these, or cannot be read.
    """
    if isinstance(picture, (str, Path)):
        return read_image(Path(picture))
    if isinstance(picture, np.ndarray):
        is_colour = picture.ndim == 3 and picture.shape[2] == 3  # others are refused by the preprocessing
        return np.ascontiguousarray(picture[..., ::-1]) if rgb and is_colour else picture
    if picture is None:
        raise ImageError("There is no picture: cv2.imread returns None when a file cannot be read.")
    if hasattr(picture, "getexif") and hasattr(picture, "convert"):
        return _of_pil(picture)
    raise ImageError(
        f"Cannot classify a {type(picture).__name__}: expected a path, a uint8 (height, width, 3) BGR array or a "
        "PIL image."
    )


def _of_pil(image: Any) -> Frame:
    from PIL import ImageOps  # there is an image of it, so it is installed

    try:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as reason:
        raise ImageError(f"The PIL image cannot be decoded: {reason}.") from reason
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


def read_image(path: str | Path) -> Frame:
    """The picture in ``path`` as a frame, uint8 (height, width, 3) BGR, turned as its EXIF says.

    Greyscale becomes three equal channels, 16 bits become 8, transparency is dropped.

    Raises:
        ImageError: The file is missing, is no picture, or is cut short.
    """
    try:
        data = Path(path).read_bytes()
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
