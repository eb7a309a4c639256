"""ONNX operators that move and scale the channels of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import onnx

from convert.checkpoints.graph import Node
from convert.checkpoints.network import Array, Norm
from convert.checkpoints.pixel_map import PixelMap, StepError

__all__ = ["OnnxPixels"]

_AFFINE: Final = {"Mul": "mul", "Add": "add", "Sub": "sub", "Div": "div"}
_FLOATS: Final = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
)
_RESIZING: Final = ("Resize", "Upsample")
_END: Final = 1 << 30


class OnnxPixels:
    """What an operator makes of pixels, with the graph's constants."""

    def __init__(self, constants: Mapping[str, Array]) -> None:
        self._constants = constants
        self._sequences: dict[str, list[PixelMap]] = {}

    def __call__(self, node: Node[str], known: Mapping[str, PixelMap]) -> Sequence[PixelMap] | None:
        """The operator's outputs; None if it is of another kind.

        Raises:
            StepError: It does what cannot be said of each channel by itself.
        """
        kind, given = node.kind, node.attributes
        if kind == "Concat":
            parts = [known[name] for name in node.inputs if name in known]
            if len(parts) != len(node.inputs):
                raise StepError("joins the picture and something else")
            return [PixelMap.joined(parts, int(given["axis"]))]
        if kind in _AFFINE:
            return self._scaled(node, known)
        if node.inputs[0] not in known:
            return None
        pixels = known[node.inputs[0]]
        if kind in _RESIZING:
            raise StepError("resizes the picture, which the device does")
        if kind in ("Identity", "Dropout", "CastLike"):
            return [pixels]
        if kind == "Cast":
            if given.get("to") not in _FLOATS:
                raise StepError("makes whole numbers of the pixels")
            return [pixels]
        if kind == "Transpose":
            return [pixels.transposed(given.get("perm", range(len(pixels.axes))[::-1]))]
        if kind == "BatchNormalization":
            return [self._normed(node, pixels)]
        if kind in ("Split", "SplitToSequence"):
            return self._split(node, pixels)
        if kind == "SequenceAt":
            return self._part(node)
        moved = self._moved(node, pixels)
        return None if moved is None else [moved]

    def _moved(self, node: Node[str], pixels: PixelMap) -> PixelMap | None:
        kind, given = node.kind, node.attributes
        numbers = self._numbers(node, 1)
        if kind == "Gather":
            if numbers is None:
                raise StepError("takes channels by numbers that are computed")
            return pixels.taken(int(given.get("axis", 0)), numbers)
        if kind == "GatherND":
            if numbers is None or numbers.ndim != 2 or numbers.shape[1] != 1 or given.get("batch_dims"):
                raise StepError("takes values by a table of places")
            return pixels.taken(0, numbers[:, 0])
        if kind == "Slice":
            return self._sliced(node, pixels)
        if kind in ("Unsqueeze", "Squeeze"):
            axes = given.get("axes", None if numbers is None else numbers.ravel().tolist())
            if axes is None:
                return None
            return pixels.expanded(axes) if kind == "Unsqueeze" else pixels.squeezed(axes)
        if kind == "Reshape" and numbers is not None:
            return pixels.reshaped([int(n) for n in numbers.ravel()])
        if kind in ("Tile", "Expand") and numbers is not None:
            wanted = [int(n) for n in numbers.ravel()]
            if kind == "Expand" and len(wanted) == len(pixels.axes):
                pairs = zip(wanted, pixels.axes, strict=True)
                wanted = [n if axis == "C" and pixels.source.size == 1 else 1 for n, axis in pairs]
            return pixels.repeated(wanted)
        return None

    def _sliced(self, node: Node[str], pixels: PixelMap) -> PixelMap:
        given = node.attributes
        if "starts" in given:
            starts, ends = given["starts"], given["ends"]
            axes, steps = given.get("axes"), None
        else:
            found = [self._numbers(node, number) for number in range(1, 5)]
            if found[0] is None or found[1] is None:
                raise StepError("cuts out a part that is computed")
            starts, ends, axes, steps = (None if one is None else one.ravel().tolist() for one in found)
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            stop = None if abs(end) >= _END else int(end)
            pixels = pixels.sliced(int(axis), int(start), stop, int(step))
        return pixels

    def _split(self, node: Node[str], pixels: PixelMap) -> Sequence[PixelMap]:
        axis = int(node.attributes.get("axis", 0)) % len(pixels.axes)
        numbers = self._numbers(node, 1)
        channels = pixels.source.shape[axis]
        count = int(node.attributes.get("num_outputs", len(node.outputs)))
        if "split" in node.attributes:
            sizes = [int(n) for n in node.attributes["split"]]
        elif numbers is not None and numbers.ndim:
            sizes = [int(n) for n in numbers]
        else:
            size = max(1, -(-channels // max(1, count)) if numbers is None else int(numbers))
            sizes = [min(size, channels - start) for start in range(0, channels, size)]
        parts = pixels.parts(axis, sizes)
        if node.kind == "Split":
            return parts
        self._sequences[node.outputs[0]] = parts
        return parts[:1]

    def _part(self, node: Node[str]) -> Sequence[PixelMap]:
        parts, number = self._sequences.get(node.inputs[0], []), self._numbers(node, 1)
        if number is None or not -len(parts) <= int(number) < len(parts):
            raise StepError("takes a part that is computed")
        return [parts[int(number)]]

    def _scaled(self, node: Node[str], known: Mapping[str, PixelMap]) -> Sequence[PixelMap] | None:
        number = next((self._constants[name] for name in node.inputs if name in self._constants), None)
        tensor = next((name for name in node.inputs if name in known), "")
        if number is None or len(node.inputs) != 2:
            return None
        return [known[tensor].scaled(_AFFINE[node.kind], number, is_first=node.inputs[0] == tensor)]

    def _normed(self, node: Node[str], pixels: PixelMap) -> PixelMap:
        gamma, beta, mean, variance = (self._numbers(node, number) for number in range(1, 5))
        if gamma is None or beta is None or mean is None or variance is None:
            raise StepError("takes weights that are computed")
        eps = float(node.attributes.get("epsilon", 1e-5))
        norm = Norm(name=node.name, gamma=gamma, beta=beta, mean=mean, variance=variance, eps=eps)
        shape = [-1 if number == 1 else 1 for number in range(len(pixels.axes))]
        scale, shift = (values.reshape(shape) for values in norm.as_affine())
        return pixels.scaled("mul", scale, is_first=True).scaled("add", shift, is_first=True)

    def _numbers(self, node: Node[str], number: int) -> Any:
        name = node.inputs[number] if number < len(node.inputs) else ""
        return self._constants.get(name)
