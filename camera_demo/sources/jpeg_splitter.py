"""Pictures out of a stream of bytes that holds one JPEG after the other, whatever stands between them."""

from __future__ import annotations

import re
from typing import Final

from edge.vision.jpeg import JPEG_START, jpeg_end

__all__ = ["JpegSplitter"]

_END: Final = b"\xff\xd9"
_HEAD: Final = re.compile(rb"\r?\n--[^\r\n]{0,200}\r?\n[A-Za-z-]+:")
"""The head of a multipart answer's next part."""
_MOST_BYTES: Final = 32_000_000


class JpegSplitter:
    """Finds pictures by their own markers: cameras lie about lengths, and some change the boundary between parts."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Begin.

        Args:
            most_bytes: What may come without a whole picture in it.
        """
        self._held, self._searched, self._most_bytes = bytearray(), 0, most_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The pictures that are whole with ``data``, in order; one that was cut by the next is left out.

        Raises:
            ValueError: Too much came without a whole picture in it.
        """
        self._held += data
        pictures = []
        while (picture := self._next()) is not None:
            pictures.append(picture)
        if len(self._held) > self._most_bytes:
            raise ValueError(f"no whole JPEG picture in {len(self._held) // 1_000_000} MB")
        return pictures

    def _next(self) -> bytes | None:
        held = self._held
        while True:
            start = held.find(JPEG_START)
            if start:  # what stands before a picture is of no use; its first byte may have come alone
                del held[: start if start > 0 else max(0, len(held) - 1)]
                self._searched = 0
            if start < 0:
                return None
            place = held.find(_END, self._searched)
            if place < 0:
                self._searched = max(0, len(held) - 1)
                return None
            self._searched = place + len(_END)
            end = jpeg_end(held)
            if end is None:  # a thumbnail's end
                continue
            picture = bytes(held[:end])
            heads = list(_HEAD.finditer(picture))
            if heads:
                del held[: heads[-1].end()]
                self._searched = 0
                continue
            del held[:end]
            self._searched = 0
            return picture
