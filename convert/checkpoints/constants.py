"""What an ONNX graph computes of its constants alone: exporters that do not fold them leave it in the file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import onnx

from convert.checkpoints.network import Array

__all__ = ["fold_constants"]

_OPERATORS: Final = (
    "Add",
    "Cast",
    "Concat",
    "Div",
    "Expand",
    "Gather",
    "Identity",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Reciprocal",
    "Reshape",
    "Shape",
    "Slice",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
)
_BROADCAST: Final = ("Add", "Div", "Max", "Min", "Mul", "Sub")
_SPARE_VALUES: Final = 1 << 20
_LARGEST_RATIO: Final = 4
"""How many times as many values as the file's own constants may be computed of them."""
_BROKEN: Final = (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, OverflowError)


def fold_constants(graph: onnx.GraphProto, opset: int, constants: dict[str, Array]) -> None:
    """Add to ``constants`` what operators make of nothing else.

    An operator that cannot be computed is left to whoever needs its value.

    Lengths of the picture that the file says count as constants.

    Args:
        graph: Whose operators stand in the order in which they run.
        opset: Version of the operators.
        constants: By name.
    """
    shapes = {one.name: [d.dim_value or None for d in one.type.tensor_type.shape.dim] for one in graph.input}
    left = _SPARE_VALUES + _LARGEST_RATIO * sum(values.size for values in constants.values())
    for node in graph.node:
        # The second input of CastLike says a type, and all numbers here become floats in the end.
        names = node.input[:1] if node.op_type == "CastLike" else node.input
        if node.op_type == "Gather" and node.input[0] in shapes:
            _add_length(node, shapes[node.input[0]], constants)
        if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            shapes[node.output[0]] = shapes[node.input[0]]
        given = [constants[name] for name in names if name in constants]
        if not given or len(given) != len(names) or node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "CastLike":
            constants[node.output[0]] = given[0]
        elif node.op_type in _OPERATORS:
            try:
                left -= _size(node, given)
                if left < 0:
                    return
                constants[node.output[0]] = _value(node, opset, dict(zip(node.input, given, strict=True)))
            except _BROKEN:
                continue


def _add_length(node: onnx.NodeProto, shape: list[int | None], constants: dict[str, Array]) -> None:
    """One length of the picture, taken from its shape, where the file says it."""
    place = constants.get(node.input[1])
    if place is not None and place.size == 1 and -len(shape) <= int(place.item()) < len(shape):
        length = shape[int(place.item())]
        if length is not None:
            constants[node.output[0]] = np.full(place.shape, length, np.int64)


def _size(node: onnx.NodeProto, given: list[Array]) -> int:
    """How many values an operator gives, at most."""
    if node.op_type in _BROADCAST:
        return math.prod(np.broadcast_shapes(*(values.shape for values in given)))
    if node.op_type == "Expand":
        return given[0].size * math.prod(max(1, int(n)) for n in given[1].ravel())
    if node.op_type == "Gather":
        return given[0].size * given[1].size
    return sum(values.size for values in given)


def _value(node: onnx.NodeProto, opset: int, given: Mapping[str, Array]) -> Array:
    from onnx.reference import ReferenceEvaluator  # 0.1 s, which few files need

    found: Any = ReferenceEvaluator(_alone(node, opset, given.items())).run(None, dict(given))
    return np.asarray(found[0])


def _alone(node: onnx.NodeProto, opset: int, given: Iterable[tuple[str, Array]]) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(values.dtype), values.shape)
        for name, values in given
    ]
    output = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)
    graph = onnx.helper.make_graph([node], "alone", inputs, [output])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
