"""From a camera frame to a network's input tensor, in integers where the tensor has integers.

The same code serves the device, the calibration and the measurement of accuracy: what a network is judged by is
what it will see. The recipe (:class:`Preprocessing`) travels in the bundle's manifest.

Resizing is the most expensive step, and decides what aliases. ``bilinear`` takes one step, but halves first what is
four times too large; ``halving`` takes exact 2x2 means from twice too large on; ``area`` takes exact means. On clean
photos the three are as accurate; in the noise of a dim room ``halving`` stays nearer to ``area``
(``benchmarks/resize.py``). From 640x480 to 128 pixels a Pi 5 core executes 0.86, 0.56 and 7.33 million instructions;
to 224 pixels 0.26 million with each, because the middle 448 rows are an exact double (``benchmarks/overhead.py arm``).
On x86, whose OpenCV has no fast 2x2 mean of three channels, ``halving`` is more expensive than ``bilinear``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import BackendError, ImageError
from edge.vision.tensor import TensorSpec

__all__ = ["HALF_UP", "ColourOrder", "Crop", "Frame", "Preprocessing", "Preprocessor", "Resize", "channels_of"]

Frame = NDArray[np.uint8]
"""A picture as OpenCV gives it: uint8 (height, width, 3) BGR."""
ColourOrder = Literal["RGB", "BGR", "GRAY"]
"""``GRAY`` is one channel, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) as OpenCV rounds it, of the resized picture."""
Resize = Literal["bilinear", "halving", "area"]
Crop = Literal["center", "none"]
HALF_UP: Final = 0.5 + 1e-3
"""Added to a pixel's level before it is rounded down: halfway goes up, whatever float made of the half. With the zero
point -1, x / 127.5 - 1 is then exactly pixel - 128, one flipped bit."""
_Table = NDArray[Any]
_UINT8: Final = np.dtype(np.uint8)
_BITS: Final[dict[Any, Any]] = {np.dtype(np.int8): np.uint8, np.dtype(np.float16): np.uint16}
_TOP_BIT: Final = np.array(0x80, np.uint8)
_NO_BIT: Final = np.array(0, np.uint8)
_HALVE_FROM: Final = {"bilinear": 4, "halving": 2}
"""From how many times too large a picture is halved first."""
_CONVERSIONS: Final = {"RGB": cv2.COLOR_BGR2RGB, "GRAY": cv2.COLOR_BGR2GRAY}
_EXTRA_CROP: Final = 0.125
"""The border that may go to make shrinking exact: that which ImageNet evaluations cut anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How pixels become a network's input: crop, resize, reorder the colours, then ``(pixel - mean) / std``."""

    colour_order: ColourOrder = "RGB"
    """Order of the channels the network was trained on."""
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    """Subtracted from pixels of 0 to 255, in the order of ``colour_order``: three numbers, or one for ``GRAY``."""
    std: tuple[float, ...] = (127.5, 127.5, 127.5)
    """Divides what is left."""
    resize: Resize = "bilinear"
    crop: Crop = "center"
    """``center`` keeps the middle square, ``none`` squeezes the whole picture into the square.

    A middle square up to 8/7 of an exact 2, 4, 8... times ρ is cut to that: 480 rows to 448 for ρ = 224.
    """
    crop_fraction: float = 1.0
    """Side of the region kept, as a fraction: 0.875 cuts the border that ImageNet evaluations cut."""

    def __post_init__(self) -> None:
        for value, kind in ((self.colour_order, ColourOrder), (self.resize, Resize), (self.crop, Crop)):
            if value not in get_args(kind):
                raise ImageError(f"Preprocessing cannot do '{value}': expected one of {', '.join(get_args(kind))}.")
        if {len(self.mean), len(self.std)} != {self.channels} or not _are_usable(self.mean, self.std):
            numbers = "a mean and a positive std" if self.channels == 1 else "three means and three positive stds"
            raise ImageError(f"Preprocessing needs {numbers}, got {self.mean}, {self.std}.")
        if not 0 < self.crop_fraction <= 1:
            raise ImageError(f"Preprocessing cannot keep {self.crop_fraction} of a picture: expected above 0, up to 1.")

    @property
    def channels(self) -> int:
        """Of the network's input: 3, or 1 for ``GRAY``."""
        return channels_of(self.colour_order)

    def real(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's float input for ``pixels``, whose last axis is the channels in ``colour_order``."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        real: NDArray[np.float32] = (pixels.astype(np.float32) - mean) / std
        return real


class Preprocessor:
    """Writes frames of any size into one input tensor, without allocating once the frame size is known.

    >>> spec = TensorSpec(shape=(1, 128, 128, 3), dtype="int8", scale=1 / 127.5, zero_point=-1)
    >>> tensor = spec.empty()
    >>> Preprocessor(Preprocessing(), spec)(np.zeros((480, 640, 3), np.uint8), tensor)
    >>> int(tensor.min()), int(tensor.max())
    (-128, -128)
    """

    def __init__(self, preprocessing: Preprocessing, spec: TensorSpec, *, is_exact: bool = False) -> None:
        """Prepare the buffers and tables for one input tensor.

        Args:
            preprocessing: The recipe.
            spec: The tensor.
            is_exact: Whether the result is the same on every machine. OpenCV rounds its linear resize otherwise on Arm,
                by one level of 255; its exact one, which takes twice as long, is the same everywhere.

        Raises:
            BackendError: The tensor is not one picture of the recipe's channels, or of a type that is not supported.
        """
        side, channels = spec.resolution if len(spec.shape) == 4 else 0, preprocessing.channels
        if spec.shape not in ((1, side, side, channels), (1, channels, side, side)):
            raise BackendError(
                f"The model's input is {spec.shape}: expected one square {preprocessing.colour_order} picture, "
                f"(1, ρ, ρ, {channels}) or (1, {channels}, ρ, ρ)."
            )
        self.side, self._size = side, (side, side)
        self._preprocessing, self._spec = preprocessing, spec
        self._conversion = _CONVERSIONS.get(preprocessing.colour_order)
        self._bgr = np.empty((side, side, 3), np.uint8)
        self._pixels = self._bgr if self._conversion is None else np.empty((side, side, channels), np.uint8)
        self._halves: list[tuple[tuple[slice, slice], Frame]] = []
        self._region = (slice(None), slice(None))
        self._linear = cv2.INTER_LINEAR_EXACT if is_exact else cv2.INTER_LINEAR
        self._interpolation = self._linear
        self._frame_shape: tuple[int, ...] | None = None
        table = _table(preprocessing, spec)
        # Where levels are the pixels, or differ from them in one bit only, the picture is made in the tensor itself.
        self._is_flip = spec.dtype == "int8" and _is_shift(table, 128)
        is_copy = spec.dtype == "uint8" and _is_shift(table, 0)
        self._is_in_place = not spec.is_channels_first and (self._is_flip or is_copy)
        # OpenCV only moves the entries: of types that it does not know it is given the bits.
        self._table = table.view(_BITS.get(table.dtype, table.dtype))
        self._tables = [np.ascontiguousarray(self._table[..., channel]) for channel in range(channels)]
        self._plane = np.empty((side, side), np.uint8)
        self._normalized = np.empty((side, side, channels), self._table.dtype)

    def __call__(self, frame: Frame, out: NDArray[np.generic]) -> None:
        """Write ``frame``, uint8 (height, width, 3) BGR, into ``out`` as the network wants it.

        Raises:
            ImageError: The frame has another shape or type.
        """
        if self._is_in_place:
            target = out[0].view(_UINT8)
            self._write_pixels(frame, target)
            if self._is_flip:
                np.bitwise_xor(target, _TOP_BIT, out=target)
        else:
            self._write_pixels(frame, self._pixels)
            self._look_up(out)

    def normalize(self, pixels: Frame, out: NDArray[np.generic]) -> None:
        """Write what :meth:`pixels` gave into ``out`` as the network wants it."""
        if self._is_in_place:
            np.bitwise_xor(pixels, _TOP_BIT if self._is_flip else _NO_BIT, out=out[0].view(_UINT8))
        else:
            np.copyto(self._pixels, pixels)
            self._look_up(out)

    def _look_up(self, out: NDArray[np.generic]) -> None:
        target = out[0].view(self._table.dtype)
        if self._spec.is_channels_first:
            for channel, table in enumerate(self._tables):
                cv2.extractChannel(self._pixels, channel, self._plane)
                cv2.LUT(self._plane, table, dst=target[channel])
        else:
            cv2.LUT(self._pixels, self._table, dst=self._normalized)
            np.copyto(target, self._normalized)

    def pixels(self, frame: Frame) -> Frame:
        """The cropped and resized picture before normalization, uint8 (ρ, ρ, channels) in the network's order."""
        out = np.empty_like(self._pixels)
        self._write_pixels(frame, out)
        return out

    def _write_pixels(self, frame: Frame, out: Frame) -> None:
        if frame.shape != self._frame_shape or frame.dtype != _UINT8:
            self._adopt(frame)
        region, resized = frame[self._region], out if self._conversion is None else self._bgr
        for even, half in self._halves:
            cv2.resize(region[even], half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)
            region = half
        cv2.resize(region, self._size, resized, 0, 0, self._interpolation)
        if self._conversion is not None:
            cv2.cvtColor(resized, self._conversion, out)

    def _adopt(self, frame: Frame) -> None:
        """Check a frame of a new size and prepare the buffers it needs."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            got = f"got {frame.dtype} {frame.shape}.{_way_out(frame)}"
            raise ImageError(f"Expected a frame uint8 (height, width, 3) BGR, {got}")
        recipe = self._preprocessing
        self._region = _region(recipe, frame.shape[0], frame.shape[1], self.side)
        height, width = frame[self._region].shape[:2]
        self._halves = []
        while recipe.resize != "area" and _HALVE_FROM[recipe.resize] * self.side <= min(height, width):
            if height == width == 2 * self.side:
                break
            even = np.s_[: height // 2 * 2, : width // 2 * 2]
            height, width = height // 2, width // 2
            self._halves.append((even, np.empty((height, width, 3), np.uint8)))
        is_area = recipe.resize == "area" and min(height, width) > self.side
        is_half = height == width == 2 * self.side
        self._interpolation = cv2.INTER_AREA if is_area or is_half else self._linear
        self._frame_shape = frame.shape


def channels_of(colour_order: ColourOrder) -> int:
    """How many channels pictures in this order have."""
    return 1 if colour_order == "GRAY" else 3


def _region(recipe: Preprocessing, height: int, width: int, side: int) -> tuple[slice, slice]:
    """The rows and columns of a frame that the network sees.

    A middle square a little larger than 2, 4, 8... times ``side`` is cut to just that, and halved: no more is to do.
    """
    rows, columns = (min(height, width),) * 2 if recipe.crop == "center" else (height, width)
    rows = max(1, round(rows * recipe.crop_fraction))
    columns = max(1, round(columns * recipe.crop_fraction))
    exact = side * 2 ** int(math.log2(max(1.0, rows / side)))
    if recipe.crop == "center" and side < exact and (1 - _EXTRA_CROP) * rows <= exact:
        rows = columns = exact
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _way_out(frame: NDArray[Any]) -> str:
    """What makes a frame of an array that is none, as a sentence; empty where nothing is likely to."""
    channels = frame.shape[2] if frame.ndim == 3 else 1
    if frame.ndim == 4:
        return " Classify one picture at a time."
    if frame.dtype != np.uint8:
        return " Scale it to 0 to 255 and convert it: frame.astype(np.uint8)." if channels == 3 else ""
    if frame.ndim == 3 and frame.shape[0] == 3 and channels != 3:
        return " Put the channels last: frame.transpose(1, 2, 0)."
    conversion = {1: "GRAY", 4: "BGRA"}.get(channels) if frame.ndim in (2, 3) else None
    return f" Convert it: cv2.cvtColor(frame, cv2.COLOR_{conversion}2BGR)." if conversion else ""


def _are_usable(means: Sequence[float], stds: Sequence[float]) -> bool:
    return all(map(math.isfinite, (*means, *stds))) and min(stds) > 0


def _table(preprocessing: Preprocessing, spec: TensorSpec) -> _Table:
    """What each of the 256 pixel values becomes in each channel: (1, 256, channels) of the tensor's type."""
    real = preprocessing.real(np.repeat(np.arange(256, dtype=np.uint8)[:, None], preprocessing.channels, axis=1))
    if not spec.is_quantized:
        return real[None].astype(spec.dtype)
    limits = np.iinfo(np.dtype(spec.dtype))
    levels = np.floor(real.astype(np.float64) / spec.scale + spec.zero_point + HALF_UP)
    return np.clip(levels, limits.min, limits.max).astype(spec.dtype)[None]


def _is_shift(table: _Table, offset: int) -> bool:
    """Whether a table only subtracts ``offset`` from each pixel."""
    return bool((table[0].astype(np.int64) == np.arange(256)[:, None] - offset).all())
