"""TensorFlow Lite operators that move and scale the channels of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.checkpoints.graph import Node
from convert.checkpoints.network import Array
from convert.checkpoints.pixel_map import PixelMap, StepError

__all__ = ["TflitePixels"]

_AFFINE: Final = {"MUL": "mul", "ADD": "add", "SUB": "sub", "DIV": "div"}
_FLOATS: Final = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64)
_RESIZING: Final = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


class TflitePixels:
    """What an operator makes of pixels, with the graph's constants and the scale of its input, if it has one."""

    def __init__(self, constants: Mapping[int, Array], types: Sequence[int], scales: Mapping[int, tuple[float, int]]):
        self._constants = constants
        self._types = types
        self._scales = scales

    def __call__(self, node: Node[int], known: Mapping[int, PixelMap]) -> Sequence[PixelMap] | None:
        """The operator's outputs; None if it is of another kind.

        Raises:
            StepError: It does what cannot be said of each channel by itself.
        """
        kind, given = node.kind, node.attributes
        inputs = [known[tensor] for tensor in node.inputs if tensor in known]
        pixels = inputs[0]
        if kind in ("PACK", "CONCATENATION"):
            if len(inputs) != len(node.inputs):
                raise StepError("joins the picture and something else")
            axis = int(given["axis"])
            if kind == "PACK":
                inputs = [one.expanded([axis]) for one in inputs]
            return [PixelMap.joined(inputs, axis)]
        if kind in _AFFINE:
            return self._scaled(node, known)
        if kind in ("SPLIT", "SPLIT_V", "UNPACK"):
            return self._split(node, pixels)
        if kind in _RESIZING:
            raise StepError("resizes the picture, which the device does")
        if kind == "CAST":
            if self._types[node.outputs[0]] not in _FLOATS:
                raise StepError("makes whole numbers of the pixels")
            return [pixels]
        if kind == "DEQUANTIZE" and node.inputs[0] in self._scales:
            scale, zero_point = self._scales[node.inputs[0]]
            less = pixels.scaled("sub", np.asarray(float(zero_point)), is_first=True)
            return [less.scaled("mul", np.asarray(scale), is_first=True)]
        moved = self._moved(node, pixels)
        return None if moved is None else [moved]

    def _moved(self, node: Node[int], pixels: PixelMap) -> PixelMap | None:
        kind, given = node.kind, node.attributes
        numbers = self._numbers(node, 1)
        if kind == "SQUEEZE":
            return pixels.squeezed([int(n) for n in given["squeezeDims"]])
        if numbers is None:
            return None
        if kind == "TRANSPOSE":
            return pixels.transposed(numbers)
        if kind == "GATHER" and not given["batchDims"]:
            return pixels.taken(int(given["axis"]), np.asarray(self._constants[node.inputs[1]], int))
        if kind == "REVERSE_V2":
            for axis in numbers:
                pixels = pixels.sliced(axis, -1, None, -1)
            return pixels
        if kind == "STRIDED_SLICE":
            return self._strided(node, pixels)
        if kind == "SLICE":
            sizes = self._numbers(node, 2) or []
            for axis, (start, size) in enumerate(zip(numbers, sizes, strict=True)):
                if pixels.axes[axis] == "C" or start or size != -1:
                    pixels = pixels.sliced(axis, start, None if size < 0 else start + size, 1)
            return pixels
        if kind == "EXPAND_DIMS":
            return pixels.expanded(numbers)
        if kind == "RESHAPE":
            return pixels.reshaped(numbers)
        return pixels.repeated(numbers) if kind == "TILE" else None

    def _strided(self, node: Node[int], pixels: PixelMap) -> PixelMap:
        given = node.attributes
        starts, ends, steps = (self._numbers(node, number) for number in (1, 2, 3))
        if starts is None or ends is None or steps is None or given["ellipsisMask"] or given["newAxisMask"]:
            raise StepError("cuts out a part that is computed")
        gone = 0
        for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
            bit = 1 << axis
            if given["shrinkAxisMask"] & bit:
                pixels = pixels.taken(axis - gone, np.asarray(start))
                gone += 1
                continue
            first = (0 if step > 0 else -1) if given["beginMask"] & bit else start
            stop = None if given["endMask"] & bit else end
            if pixels.axes[axis - gone] in "N1" and first == 0 and step == 1:
                continue
            pixels = pixels.sliced(axis - gone, first, stop, step)
        return pixels

    def _split(self, node: Node[int], pixels: PixelMap) -> Sequence[PixelMap]:
        if node.kind == "UNPACK":
            axis = int(node.attributes["axis"])
            count = len(node.outputs)
            return [part.squeezed([axis]) for part in pixels.parts(axis, [1] * count)]
        axes = self._numbers(node, 0 if node.kind == "SPLIT" else 2)
        if not axes:
            raise StepError("splits along a dimension that is computed")
        axis, count = axes[0] % len(pixels.axes), len(node.outputs)
        sizes = self._numbers(node, 1) if node.kind == "SPLIT_V" else [pixels.source.shape[axis] // count] * count
        return pixels.parts(axis, sizes or [])

    def _scaled(self, node: Node[int], known: Mapping[int, PixelMap]) -> Sequence[PixelMap] | None:
        number = next((self._constants[tensor] for tensor in node.inputs if tensor in self._constants), None)
        tensor = next(tensor for tensor in node.inputs if tensor in known)
        if number is None or node.attributes.get("fusedActivationFunction"):
            return None
        return [known[tensor].scaled(_AFFINE[node.kind], number, is_first=node.inputs[0] == tensor)]

    def _numbers(self, node: Node[int], number: int) -> list[int] | None:
        tensor: Any = node.inputs[number] if number < len(node.inputs) else None
        found = self._constants.get(tensor)
        return None if found is None else [int(n) for n in found.ravel()]
