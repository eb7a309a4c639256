"""A folder of pictures, those of a pattern, or one picture."""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.sources.base import Source
from camera_demo.stop import Stop
from camera_demo.uri import is_pattern
from edge.errors import ImageError
from edge.files import shown_name
from edge.vision.images import IMAGE_SUFFIXES, image_files, read_image, unread_pictures

__all__ = ["PicturesSource", "opener"]

_log = logging.getLogger(__name__)
_RATE_HZ: Final = 1.0
"""Pictures a second where a rate is needed: to play them at a pace or to write them as a video."""


class PicturesSource:
    """Picture files in order; those that cannot be read are skipped, with a warning."""

    is_live = False
    rate_hz = _RATE_HZ

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        self.name, self.dropped = name, 0
        self._files = files

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """One frame for each picture that can be read.

        Raises:
            SourceError: None can be read.
        """
        index, errors = 0, list[ImageError]()
        for file in self._files:
            if stop.is_requested:
                return
            try:
                image = read_image(file)
            except ImageError as error:
                errors.append(error)
                _log.warning("Skipped a picture. %s", error)
                continue
            now_s = time.monotonic()
            position_s = index / _RATE_HZ
            yield CapturedFrame(
                image=image, index=index, captured_at_s=now_s, position_s=position_s, file=shown_name(file)
            )
            index += 1
        if errors and not index:
            raise SourceError(f"None of the {len(errors)} pictures in {self.name} can be read. The first: {errors[0]}")
        if errors:
            _log.warning("%d of %d pictures could not be read", len(errors), len(self._files))

    def close(self) -> None:
        """Nothing is held."""


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the folder, the one picture, or the pictures of a pattern as ``photos/*.jpg``.

    It raises :class:`SourceError` where there are no pictures, and :class:`edge.errors.ImageError` where the folder,
    or the one picture, cannot be read.
    """
    return lambda stop: _open(Path(place))


def _open(path: Path) -> PicturesSource:
    if is_pattern(str(path)) and not path.exists():
        return PicturesSource(shown_name(path), _matching(path))
    if not path.is_dir():
        read_image(path)
        return PicturesSource(shown_name(path), [path])
    files = image_files(path)
    if unread := unread_pictures(path):
        _log.warning("Passed over in %s: %s.", shown_name(path), unread)
    if not files:
        raise SourceError(
            f"Folder {path} has no pictures: expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return PicturesSource(shown_name(path), files)


def _matching(pattern: Path) -> list[Path]:
    """The pictures of a pattern, sorted by path."""
    found = sorted(Path(name) for name in glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - as the shell reads it
    pictures = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not pictures:
        what = f"none of the {len(found)} files and folders that match is a picture" if found else "no file matches"
        raise SourceError(f"{pattern} has no pictures: {what}. Expected {', '.join(sorted(IMAGE_SUFFIXES))}.")
    return pictures
