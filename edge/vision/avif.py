"""Pictures in the container that AVIF and HEIC share (ISO/IEC 23008-12): which is which, how large, and how turned.

OpenCV decodes AVIF as it is stored, and HEIC not at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["avif_size", "is_avif", "is_heic", "upright"]

_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
_TURNS = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)


def is_avif(data: bytes) -> bool:
    """Whether a file begins as AVIF does."""
    return data[4:8] == b"ftyp" and (data[8:12] in _BRANDS or any(brand in data[16:64] for brand in _BRANDS))


def avif_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the largest picture in the file, before it is turned; None where it does not say."""
    parts = _meta(data)
    boxes = _boxes(data, *parts[b"ipco"]) if b"ipco" in parts else ()
    places = [place for kind, (place, end) in boxes if kind == b"ispe" and end - place >= 12]
    sizes = [tuple(int.from_bytes(data[p + n : p + n + 4], "big") for n in (4, 8)) for p in places]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return (width, height) if width else None


def is_heic(data: bytes) -> bool:
    """Whether a file begins as a HEIC picture does, as phones write them. A film has other brands."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and not is_avif(data)


def upright(frame: Frame, data: bytes) -> Frame:
    """``frame``, which was decoded from ``data``, turned and mirrored as the file says."""
    for kind, value in _transforms(data):
        if kind == b"irot" and (turn := _TURNS[value & 3]) is not None:
            frame = np.asarray(cv2.rotate(frame, turn), np.uint8)
        elif kind == b"imir":
            frame = np.asarray(cv2.flip(frame, value & 1), np.uint8)
    return frame


def _transforms(data: bytes) -> list[tuple[bytes, int]]:
    """The primary picture's rotation and mirror, in the order in which they apply; none where the file is damaged."""
    parts = _meta(data)
    if not {b"ipco", b"ipma", b"pitm"} <= parts.keys():
        return []
    start, _ = parts[b"pitm"]
    is_wide = data[start : start + 1] > b"\0"
    primary = int.from_bytes(data[start + 4 : start + (8 if is_wide else 6)], "big")
    known = list(_boxes(data, *parts[b"ipco"]))
    chosen = (known[number - 1] for number in _associated(data, *parts[b"ipma"], primary) if number <= len(known))
    return [(kind, data[place]) for kind, (place, end) in chosen if kind in (b"irot", b"imir") and place < end]


def _meta(data: bytes) -> dict[bytes, tuple[int, int]]:
    """The boxes that describe the file's pictures and their properties."""
    meta = dict(_boxes(data, 0, len(data))).get(b"meta")
    parts = {} if meta is None else dict(_boxes(data, meta[0] + 4, meta[1]))
    return parts | (dict(_boxes(data, *parts[b"iprp"])) if b"iprp" in parts else {})


def _boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The boxes between two places: the kind of each, and where its content begins and ends."""
    while place + 8 <= end:
        size, kind, head = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        stop = end if size == 0 else place + size
        if not place + head <= stop <= end:
            return
        yield kind, (place + head, stop)
        place = stop


def _associated(data: bytes, place: int, end: int, item: int) -> list[int]:
    """The numbers, from 1, of the properties of an item."""
    if end - place < 8:
        return []
    version, is_wide = data[place], bool(data[place + 3] & 1)
    id_bytes, number_bytes = (4 if version else 2), (2 if is_wide else 1)
    place += 8
    while place + id_bytes < end:
        found, count = int.from_bytes(data[place : place + id_bytes], "big"), data[place + id_bytes]
        place += id_bytes + 1
        numbers = [data[place + n * number_bytes : place + (n + 1) * number_bytes] for n in range(count)]
        place += count * number_bytes
        if found == item:
            mask = 0x7FFF if is_wide else 0x7F
            return [number for each in numbers if (number := int.from_bytes(each, "big") & mask)]
    return []
