"""What a graph does to pixels before its first convolution: each channel taken from one of the picture's, and scaled.

Exporters write one reversal of channels as a Gather, a Slice, or as three of them and a Concat, and a normalization of
each channel by itself likewise. Here all of it is one value, on a picture of 1x1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.network import Affine, Array, ChannelOrder, Layer

__all__ = ["PixelMap", "StepError"]

_PLACES: Final = "HW"
_MOST_CHANNELS: Final = 64
_ADDED: Final = "1"


class StepError(ValueError):
    """What a step does that pixels cannot have, as the end of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelMap:
    """A tensor made of a picture's: its channel c is ``picture[source[c]] * scale[c] + shift[c]``."""

    axes: str
    """A letter for each dimension: ``N``, ``C``, ``H``, ``W``, and ``1`` for one that was added."""
    source: NDArray[np.intp]
    """Shaped as the tensor, with 1 for all dimensions but the channels'."""
    scale: Array
    shift: Array

    @classmethod
    def of_picture(cls, axes: str, channels: int) -> PixelMap:
        """A picture as it is."""
        shape = [channels if letter == "C" else 1 for letter in axes]
        source = np.arange(channels, dtype=np.intp).reshape(shape)
        return cls(axes=axes, source=source, scale=np.ones(shape), shift=np.zeros(shape))

    def transposed(self, order: Sequence[int]) -> PixelMap:
        """With its dimensions in another order."""
        if sorted(order) != list(range(len(self.axes))):
            raise StepError(f"orders {len(self.axes)} dimensions as {list(order)}")
        axes = "".join(self.axes[number] for number in order)
        return self._each(axes, lambda values: values.transpose(order))

    def taken(self, axis: int, places: NDArray[np.integer]) -> PixelMap:
        """Channels by their numbers; a single number takes the dimension away."""
        axis = self._channels(axis, "takes some")
        axes = self.axes[:axis] + self.axes[axis + 1 :] if places.ndim == 0 else self.axes
        if places.ndim > 1:
            raise StepError("takes channels by a table of numbers")
        return self._each(axes, lambda values: np.take(values, places, axis=axis))

    def sliced(self, axis: int, start: int, stop: int | None, step: int) -> PixelMap:
        """Some channels in a row, or all backwards; ``stop`` is None for the end that lies in the step's direction."""
        axis = axis % len(self.axes)
        length = self.source.shape[axis]
        if self.axes[axis] in _PLACES and start == 0 and step == 1 and (stop is None or stop >= 1 << 30):
            return self
        axis = self._channels(axis, "cuts out a part")
        return self.taken(axis, np.arange(length)[slice(start, stop, step)])

    def parts(self, axis: int, sizes: Sequence[int]) -> list[PixelMap]:
        """Its channels in groups of these sizes."""
        axis = self._channels(axis, "splits")
        ends = np.cumsum(sizes)
        if ends.size == 0 or ends[-1] != self.source.shape[axis]:
            raise StepError(f"splits {self.source.shape[axis]} channels into {list(sizes)}")
        return [self.taken(axis, np.arange(end - size, end)) for end, size in zip(ends, sizes, strict=True)]

    @staticmethod
    def joined(parts: Sequence[PixelMap], axis: int) -> PixelMap:
        """Several, side by side along their channels."""
        axis = axis % len(parts[0].axes)
        axes = parts[0].axes
        if axes[axis] not in ("C", _ADDED) or any(part.axes != axes for part in parts):
            raise StepError("joins pictures side by side")
        if axes[axis] == _ADDED:
            if "C" in axes:
                raise StepError("joins pictures along a dimension of its own")
            axes = axes[:axis] + "C" + axes[axis + 1 :]
        return PixelMap(
            axes=axes,
            source=np.concatenate([part.source for part in parts], axis),
            scale=np.concatenate([part.scale for part in parts], axis),
            shift=np.concatenate([part.shift for part in parts], axis),
        )

    def expanded(self, places: Sequence[int]) -> PixelMap:
        """With dimensions of length 1 added."""
        rank = len(self.axes) + len(places)
        where = sorted(place % rank for place in places)
        axes = self.axes
        for place in where:
            axes = axes[:place] + _ADDED + axes[place:]
        return self._each(axes, lambda values: np.expand_dims(values, tuple(where)))

    def squeezed(self, places: Sequence[int]) -> PixelMap:
        """Without dimensions of length 1."""
        gone = {place % len(self.axes) for place in places}
        for place in gone:
            if self.axes[place] in _PLACES or self.source.shape[place] != 1:
                raise StepError("takes a dimension of the picture away")
        axes = "".join(letter for number, letter in enumerate(self.axes) if number not in gone)
        return self._each(axes, lambda values: np.squeeze(values, tuple(gone)))

    def repeated(self, times: Sequence[int]) -> PixelMap:
        """With its channels so many times, as a grey picture becomes three."""
        if len(times) != len(self.axes) or any(n != 1 for n, axis in zip(times, self.axes, strict=True) if axis != "C"):
            raise StepError("repeats the picture")
        if not 0 < self.source.size * math.prod(times) <= _MOST_CHANNELS:
            raise StepError(f"makes {math.prod(times)} of each channel")
        return self._each(self.axes, lambda values: np.tile(values, times))

    def scaled(self, operation: str, number: Array, *, is_first: bool) -> PixelMap:
        """With a constant added, subtracted, multiplied or divided by; ``is_first`` if the tensor stands before it."""
        value = number.astype(np.float64)
        if operation in ("sub", "div") and not is_first:
            if operation == "div":
                raise StepError("divides a number by the pixels")
            return self.scaled("mul", np.asarray(-1.0), is_first=True).scaled("add", number, is_first=True)
        shape = (1,) * max(0, len(self.axes) - value.ndim) + value.shape
        if len(shape) != len(self.axes) or any(n > 1 for n, axis in zip(shape, self.axes, strict=True) if axis != "C"):
            raise StepError(f"computes with numbers of shape {value.shape}: expected one for each channel")
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = {"mul": value, "div": 1 / value}.get(operation, np.ones_like(value))
            offset = {"add": value, "sub": -value}.get(operation, np.zeros_like(value))
            scale = self.scale * gain
            shift = self.shift * gain + offset
        source = np.broadcast_to(self.source, np.broadcast_shapes(self.source.shape, shift.shape))
        scale, shift = np.broadcast_to(scale, source.shape), np.broadcast_to(shift, source.shape)
        return replace(self, source=source, scale=scale, shift=shift)

    def reshaped(self, shape: Sequence[int]) -> PixelMap:
        """One channel's dimension moved, or the very same shape; other shapes mix places."""
        for axes in (self.axes, "NCHW", "NHWC", "CHW", "HWC", "1CHW", "1HWC"):
            order = [self.axes.find(letter) for letter in axes]
            is_same = axes == self.axes or (self.source.size == 1 and sorted(axes) == sorted(self.axes))
            if len(shape) == len(axes) and is_same and -1 not in order:
                channel = shape[axes.index("C")]
                if channel in (self.source.size, 0) or (channel == -1 and self.source.size == 1):
                    return self.transposed(order)
        raise StepError("changes the picture's shape")

    def layers(self, name: str, channels: int) -> tuple[Layer, ...]:
        """The same as layers: what the picture's own channels are scaled by, and then their order.

        Args:
            name: What to call them in messages.
            channels: Of the picture.

        Raises:
            StepError: No channel is left, or one is taken twice and scaled in two ways.
        """
        source, scale, shift = self.source.ravel(), self.scale.ravel(), self.shift.ravel()
        if not source.size:
            raise StepError("leaves no channel of the picture")
        own_scale, own_shift = np.full(channels, scale[0]), np.full(channels, shift[0])
        own_scale[source], own_shift[source] = scale, shift
        with np.errstate(invalid="ignore"):
            if not (np.array_equal(own_scale[source], scale) and np.array_equal(own_shift[source], shift)):
                raise StepError("takes one channel of the picture twice, and scales it in two ways")
        is_plain = np.array_equal(scale, np.ones_like(scale)) and not np.any(shift)
        affine = () if is_plain else (Affine(name=name, scale=own_scale, shift=own_shift),)
        is_in_order = np.array_equal(source, np.arange(channels))
        order = () if is_in_order else (ChannelOrder(name=name, source=tuple(source.tolist()), channels=channels),)
        return (*affine, *order)

    def _channels(self, axis: int, does: str) -> int:
        """The dimension, which has to be that of the channels."""
        axis = axis % len(self.axes)
        if self.axes[axis] != "C":
            raise StepError(f"{does} of the picture's places")
        return axis

    def _each(self, axes: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> PixelMap:
        return PixelMap(axes=axes, source=change(self.source), scale=change(self.scale), shift=change(self.shift))
