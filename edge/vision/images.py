"""Pictures on disk: which files of a folder are pictures, and one picture as a frame."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge.errors import ImageError, opencv_reason, os_reason
from edge.paths import AnyPath
from edge.vision.avif import is_avif, is_heic, upright
from edge.vision.jpeg import JPEG_START, is_progressive, jpeg_end
from edge.vision.picture_size import picture_size
from edge.vision.preprocess import Frame

__all__ = [
    "IMAGE_SUFFIXES",
    "PICTURE_KINDS",
    "hidden_folders",
    "image_files",
    "is_picture",
    "read_image",
    "unread_pictures",
]

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".avif", ".ppm", ".pgm", ".tif", ".tiff"}
)
"""File name endings taken for pictures, in lower case."""
PICTURE_KINDS: Final = "JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF"
"""What they are, for messages."""
_RAW_SUFFIXES: Final = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".raw"})
_UNREAD_SUFFIXES: Final = _RAW_SUFFIXES | {
    ".heic", ".heif", ".hif", ".heics", ".gif", ".svg", ".psd", ".jxl", ".jp2", ".tga", ".ico", ".exr",
}  # fmt: skip
"""Endings of pictures that are not read, and are named where they are passed over."""
MOST_PIXELS: Final = 100_000_000
"""A larger picture would take more than 300 MB."""
_REDUCED: Final = ((2, cv2.IMREAD_REDUCED_COLOR_2), (4, cv2.IMREAD_REDUCED_COLOR_4), (8, cv2.IMREAD_REDUCED_COLOR_8))
_MOST_BYTES: Final = 1_000_000_000
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_LONGEST_SIDE: Final = 1_000_000
"""OpenCV reads no longer ones: a header that says more is damaged."""


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


def is_picture(path: Path) -> bool:
    """Whether a file is a picture and no film: by its ending, or as phones and web browsers save them without one."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return is_heic(head) or is_avif(head) or (not path.suffix and head.startswith((JPEG_START, _PNG_START)))


def unread_pictures(folder: Path) -> str:
    """The pictures below ``folder`` of kinds that are not read, counted: ``3 .heic, 1 .gif``; empty without any."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in _UNREAD_SUFFIXES and path.is_file())
    counts = Counter(path.suffix.lower() for path in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))


def hidden_folders(folder: Path) -> dict[str, int]:
    """Folders in ``folder`` that :func:`image_files` passes over for the dot that their names begin with.

    Returns:
        Their names, and how many pictures lie in each; those without pictures are not named.
    """
    counts: Counter[str] = Counter()
    for path in folder.glob(".*/*"):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file():
            counts[path.parent.name] += 1
    return dict(sorted(counts.items()))


def read_image(picture: AnyPath | bytes) -> Frame:
    """A picture as a frame, uint8 (height, width, 3) BGR, turned as its EXIF says.

    Greyscale becomes three equal channels, 16 bits become 8, transparency is dropped.

    Args:
        picture: A file's path, or what such a file holds.

    Raises:
        ImageError: The file is missing, is not a picture, or is cut short.
    """
    if isinstance(picture, bytes):
        return _decoded(picture, "in memory")
    try:
        size_bytes = Path(picture).stat().st_size
        data = Path(picture).read_bytes() if size_bytes <= _MOST_BYTES else b""
    except OSError as reason:
        raise ImageError(f"Cannot read image {picture}: {os_reason(reason)}.") from reason
    except ValueError as reason:
        raise ImageError(f"Cannot read image {str(picture)!r}: {reason}.") from reason
    if size_bytes > _MOST_BYTES:
        size, most = f"{size_bytes / 1e9:.1f} GB", f"{_MOST_BYTES / 1e9:.0f} GB"
        raise ImageError(f"Image {picture} has {size}: expected at most {most}.")
    return _decoded(data, str(picture))


def _decoded(data: bytes, name: str) -> Frame:
    """The picture that a file of this name holds."""
    if not data:
        raise ImageError(f"Image {name} is empty: the file has no bytes.")
    end = _end(data)
    if end is None:
        raise ImageError(f"Image {name} is cut short: its end marker is missing. Copy the file again.")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8, end), _flag(name, data))
    except cv2.error as reason:
        raise ImageError(f"Image {name} cannot be decoded: {opencv_reason(reason)}.") from reason
    if frame is None and is_heic(data):
        raise ImageError(
            f"Image {name} is a HEIC picture, which OpenCV cannot read. Save it as JPEG: heif-convert IN.heic OUT.jpg "
            "(apt-get install libheif-examples)."
        )
    if frame is None:
        raise ImageError(f"Image {name} is not one that OpenCV can read: expected {PICTURE_KINDS}.")
    return upright(np.asarray(frame, np.uint8), data) if is_avif(data) else np.asarray(frame, np.uint8)


def _end(data: bytes) -> int | None:
    """Where a JPEG or PNG ends; None if it lacks its end, and all of what is neither.

    Decoders would fill the missing part with grey and say nothing. Behind the end other things may follow: phones put a
    video behind a JPEG ("motion photo").
    """
    if data.startswith(JPEG_START):
        return jpeg_end(data)
    if data.startswith(_PNG_START):
        return len(data) if b"IEND" in data else None
    return len(data)


def _flag(name: str, data: bytes) -> int:
    """How to decode a picture, so that it takes no more memory than :data:`MOST_PIXELS` do.

    A JPEG is decoded at a half, a quarter or an eighth of its size, for which its decoder needs no more.

    Raises:
        ImageError: The header announces more pixels than memory should be taken for.
    """
    width, height = picture_size(data) or (0, 0)
    if width * height <= MOST_PIXELS or max(width, height) > _LONGEST_SIDE:
        return cv2.IMREAD_COLOR
    if data.startswith(JPEG_START) and not is_progressive(data):
        for scale, flag in _REDUCED:
            if width * height <= MOST_PIXELS * scale**2:
                return flag
    raise ImageError(
        f"Image {name} has {width}x{height} pixels: expected at most {MOST_PIXELS // 1_000_000} million. "
        "Shrink it first."
    )
