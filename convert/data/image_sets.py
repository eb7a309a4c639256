"""Pictures for calibrating and for measuring: found, split so that neither sees the other's, read once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.errors import CalibrationError
from edge.errors import ImageError
from edge.files import shown_name
from edge.vision.bursts import by_burst
from edge.vision.images import PICTURE_KINDS, image_files, read_image, unread_pictures
from edge.vision.preprocess import Preprocessing, Preprocessor
from edge.vision.tensor import TensorSpec

__all__ = [
    "MOST_TO_CALIBRATE",
    "MOST_TO_MEASURE",
    "ImageSet",
    "at_most",
    "find_pictures",
    "read_pictures",
    "readable_pictures",
    "shuffled_bursts",
    "split",
]

MOST_TO_CALIBRATE: Final = 256
MOST_TO_MEASURE: Final = 2000
"""More pictures cost time and memory and change little."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """Pictures read for one or more resolutions."""

    paths: tuple[Path, ...]
    pixels: dict[int, NDArray[np.uint8]]
    """For each resolution ρ: (count, ρ, ρ, 3) in the network's colour order."""
    unreadable: tuple[str, ...]
    """Why each picture that could not be read was passed over."""

    def first(self, count: int) -> ImageSet:
        """The first ``count`` of the pictures."""
        pixels = {side: one[:count] for side, one in self.pixels.items()}
        return ImageSet(paths=self.paths[:count], pixels=pixels, unreadable=self.unreadable)


def find_pictures(folder: Path) -> list[Path]:
    """The pictures below a folder, at least one; pictures of kinds that are not read are counted and named.

    Raises:
        CalibrationError: The folder does not exist or has no pictures.
    """
    try:
        return readable_pictures(folder, f"expected {PICTURE_KINDS} files")
    except ImageError as reason:
        raise CalibrationError(str(reason)) from reason


def readable_pictures(folder: Path, otherwise: str) -> list[Path]:
    """The pictures below a folder, at least one; a warning counts and names those of kinds that are not read.

    Args:
        folder: The folder.
        otherwise: What to do if there are none.

    Raises:
        ImageError: The folder does not exist or has no pictures.
    """
    paths, unread = image_files(folder), unread_pictures(folder)
    if not paths:
        other = f" that can be read, only {unread}" if unread else ""
        raise ImageError(f"{shown_name(folder)} has no pictures{other}: {otherwise}.")
    if unread:
        _log.warning("Passed over in %s: %s. Save them as JPEG to use them.", shown_name(folder), unread)
    return paths


def split(paths: Sequence[Path], seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Divide pictures into those to calibrate on and those to measure on, the same way every time for one ``seed``.

    Files whose names differ only in a last number (``duck_0.jpg``, ``duck_1.jpg``: one object, one burst, one video)
    stay on one side, unless that would leave a side empty.

    Raises:
        CalibrationError: There are fewer than two.
    """
    if len(paths) < 2:
        raise CalibrationError(
            f"{len(paths)} picture is too few: expected at least 2, some to calibrate on and others to measure on."
        )
    calibration: list[Path] = []
    held_out: list[Path] = []
    for group in shuffled_bursts(paths, seed):
        side = calibration if len(calibration) <= len(held_out) else held_out
        side.extend(group)
    return at_most(MOST_TO_CALIBRATE, calibration), at_most(MOST_TO_MEASURE, held_out)


def shuffled_bursts(paths: Sequence[Path], seed: int = 0) -> list[list[Path]]:
    """Pictures that show one object, one burst or one video by their names, together; in the same order every time.

    Where that would put more than half of them together, each by itself.
    """
    groups = by_burst(paths)
    if max(map(len, groups), default=0) > len(paths) // 2:
        groups = [[path] for path in paths]
    return sorted(groups, key=lambda group: _order(group[0], seed))


def at_most(count: int, paths: Sequence[Path]) -> list[Path]:
    """Up to ``count`` of the pictures, sorted: of a larger set the same ones each time, from all of its folders."""
    return sorted(sorted(paths, key=_order)[:count])


def read_pictures(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    resolutions: Sequence[int],
    progress: Callable[[float], None] = lambda share: None,
) -> ImageSet:
    """Read pictures as the device would see them, for several resolutions at once.

    Raises:
        CalibrationError: Not one can be read.
    """
    specs = {r: TensorSpec(shape=(1, r, r, preprocessing.channels), dtype="uint8") for r in resolutions}
    preprocessors = {r: Preprocessor(preprocessing, spec) for r, spec in specs.items()}
    pixels: dict[int, list[NDArray[np.uint8]]] = {r: [] for r in resolutions}
    read, unreadable = [], []
    for done, path in enumerate(paths, start=1):
        try:
            frame = read_image(path)
        except ImageError as reason:
            unreadable.append(str(reason))
            continue
        for resolution, preprocessor in preprocessors.items():
            pixels[resolution].append(preprocessor.pixels(frame))
        read.append(path)
        progress(done / len(paths))
    if not read:
        raise CalibrationError(f"None of {len(paths)} pictures can be read. The first: {unreadable[0]}")
    return ImageSet(paths=tuple(read), pixels={r: np.stack(p) for r, p in pixels.items()}, unreadable=tuple(unreadable))


def _order(path: Path, seed: int = 0) -> str:
    """Neither alphabetical nor random: the same on every machine, wherever the folder lies."""
    salt = f"{seed}/" if seed else ""
    return hashlib.sha256(f"{salt}{path.parent.name}/{path.name}".encode()).hexdigest()
