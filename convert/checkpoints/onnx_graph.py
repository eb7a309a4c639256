"""ONNX: weights from the initializers, everything else from the graph, batch norm folded or not.

What PyTorch's exporters and tf2onnx write. The file's weights may lie in one other file beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from convert.checkpoints.graph import Node, affine, padding, row, side_of
from convert.checkpoints.network import (
    ActivationLayer,
    Array,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Network,
    Norm,
    Pool,
)
from convert.checkpoints.onnx_steps import axes_of, steps
from convert.errors import CheckpointError
from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD

__all__ = ["is_onnx", "read_onnx"]

_Node = Node[str]
_AFFINE: Final = {"Mul": "mul", "Add": "add", "Sub": "sub", "Div": "div"}
_SKIPPED: Final = ("Identity", "Dropout", "Cast")
_FLAT: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_FUNCTIONS: Final = {"Relu": "relu", "Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_BROKEN: Final = (IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)
_FIELDS: Final = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
"""How producer, its version, domain, version, text, graph and operator sets begin."""
_MAXIMA: Final = ("GlobalMaxPool", "MaxPool", "ReduceMax")
_TO_FIRST, _TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def is_onnx(head: bytes) -> bool:
    """Whether a file that begins so is ONNX: the version of its format, then another field of ``ModelProto``."""
    return len(head) > 2 and head[0] == 0x08 and 3 <= head[1] < 32 and head[2] in _FIELDS


def read_onnx(path: Path) -> Network:
    """The network in an ``.onnx`` file.

    Raises:
        CheckpointError: It is damaged, lacks its weights, or is another network.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, ValueError) as reason:
        raise CheckpointError(f"{path} is not ONNX, or cut short: {reason}.") from reason
    graph = model.graph
    if not graph.node:
        raise CheckpointError(f"{path} is ONNX without an operator: it is damaged or cut short. Export it again.")
    _check_float(path, graph)
    constants = dict(_constants(path, graph))
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) > 1 and not graph.initializer:
        raise CheckpointError(
            f"{path} has its weights as inputs and not in the file: export it with them (export_params=True)."
        )
    if len(inputs) != 1 or len(graph.output) != 1:
        raise CheckpointError(
            f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs: expected one picture and one answer, as "
            "a classifier has. A detector, for one, cannot be read."
        )
    shape = [d.dim_value or None for d in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 4:
        raise CheckpointError(f"{path} takes {len(shape)} dimensions: expected pictures, which have four.")
    is_last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    nodes = [_node(node) for node in graph.node if node.op_type != "Constant"]
    layers: list[Layer] = []
    for node, taken in steps(nodes, row(path, nodes, inputs[0].name, graph.output[0].name), constants):
        if node.kind == "Transpose":
            is_last = not is_last if node.attributes.get("perm") in (_TO_FIRST, _TO_LAST) else is_last
        try:
            layers += _layers(path, node, taken, constants, is_last)
        except _BROKEN as reason:
            if isinstance(reason, CheckpointError):
                raise
            raise CheckpointError(
                f"{path}: operator '{node.name}' ({node.kind}) is damaged: {str(reason)[:80]}. Export the model again."
            ) from reason
    is_torch = model.producer_name.startswith("pytorch")
    settings = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD} if is_torch else {"mean": HALF_RANGE, "std": HALF_RANGE}
    side = side_of(path, shape, is_channels_last=shape[1] not in (1, 3) and shape[3] in (1, 3))
    return Network(layout="onnx", layers=tuple(layers), resolution=side, settings=settings, has_background=True)


def _check_float(path: Path, graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if "uantizeLinear" in node.op_type or node.op_type.startswith("QLinear") or node.op_type.endswith("Integer"):
            raise CheckpointError(
                f"{path} is quantized already (operator '{node.name or node.output[0]}', {node.op_type}): expected the "
                "float network that it was made from."
            )


def _constants(path: Path, graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.initializer:
        yield tensor.name, _array(path, tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute:
            value = onnx.helper.get_attribute_value(node.attribute[0])
            found = _array(path, value) if isinstance(value, onnx.TensorProto) else value
            if not isinstance(found, (bytes, str)):
                yield node.output[0], np.asarray(found)


def _array(path: Path, tensor: onnx.TensorProto) -> Array:
    try:
        is_elsewhere = tensor.data_location == onnx.TensorProto.EXTERNAL
        found: Array = _external(path, tensor) if is_elsewhere else numpy_helper.to_array(tensor)
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, OSError) as reason:
        raise CheckpointError(f"{path}: tensor '{tensor.name}' cannot be read: {str(reason)[:80]}.") from reason
    return found


def _external(path: Path, tensor: onnx.TensorProto) -> Array:
    """A tensor that lies in another file of the same folder; no other is ever opened."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    name = where.get("location", "")
    file = path.parent / name
    if name != Path(name).name or file.is_symlink() or not file.is_file():
        raise CheckpointError(
            f"{path} keeps its weights in another file, '{name[:80]}', which is not beside it: copy both, or write one "
            "file: onnx.save(onnx.load('model.onnx'), 'one.onnx')."
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = math.prod(tensor.dims)
    offset = int(where.get("offset", 0))
    if min(offset, 0, *tensor.dims) < 0 or offset + count * dtype.itemsize > file.stat().st_size:
        raise CheckpointError(f"{path}: tensor '{tensor.name}' reaches beyond the end of {file.name}: it is cut short.")
    return np.fromfile(file, dtype, count, offset=offset).reshape(tuple(tensor.dims))


def _node(node: onnx.NodeProto) -> _Node:
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    outputs = tuple(node.output)
    return Node(
        kind=kind, name=node.name or outputs[0], inputs=tuple(node.input), outputs=outputs, attributes=attributes
    )


def _layers(path: Path, node: _Node, taken: str, constants: dict[str, Array], is_last: bool) -> Iterator[Layer]:
    kind, name, given = node.kind, node.name, node.attributes
    if kind in _SKIPPED or (kind == "Transpose" and given.get("perm") in (_TO_FIRST, _TO_LAST)):
        return
    if kind == "Conv":
        yield _convolution(path, node, constants)
    elif kind == "BatchNormalization":
        gamma, beta, mean, variance = (_constant(path, node, constants, n) for n in range(1, 5))
        eps = float(given.get("epsilon", 1e-5))
        yield Norm(name=name, gamma=gamma, beta=beta, mean=mean, variance=variance, eps=eps)
    elif kind == "Clip":
        yield ActivationLayer(name=name, function=_clip(node, constants))
    elif kind in _FUNCTIONS:
        yield ActivationLayer(name=name, function=_FUNCTIONS[kind])
    elif kind in _AFFINE:
        other = next((constants[tensor] for tensor in node.inputs if tensor in constants), None)
        yield affine(path, node, _AFFINE[kind], other, is_first=node.inputs[0] == taken)
    elif kind == "Pad":
        yield _padding(path, node, constants, is_last)
    elif kind in _MAXIMA:
        yield Pool(name=name, is_maximum=True)
    elif kind == "GlobalAveragePool" or (
        kind == "ReduceMean" and axes_of(node, constants) == ([1, 2] if is_last else [2, 3])
    ):
        yield Pool(name=name)
    elif kind == "AveragePool" and len(set(given["kernel_shape"])) == 1 and not any(given.get("pads", ())):
        yield Pool(name=name, side=int(given["kernel_shape"][0]))
    elif kind in _FLAT:
        yield Flatten(name=name)
    elif kind in ("Gemm", "MatMul"):
        yield _dense(path, node, constants)
    elif kind.startswith("com.microsoft."):
        raise CheckpointError(
            f"{path}: operator '{name}' is a {kind}, as ONNX Runtime writes where it optimizes a model for a machine: "
            "use the file that this was made from."
        )
    elif kind in ("ArgMax", "TopK"):
        raise CheckpointError(
            f"{path}: operator '{name}' ({kind}) leaves the number of the best class: export the network without it, "
            "so that it answers with one number for each class."
        )
    else:
        raise CheckpointError(
            f"{path}: operator '{name}' is a {kind}: MobileNet v1 has none such there. This is another architecture."
        )


def _convolution(path: Path, node: _Node, constants: dict[str, Array]) -> Convolution:
    weight, given = _constant(path, node, constants, 1).astype(np.float32), node.attributes
    groups, strides, dilations = given.get("group", 1), given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    automatic = given.get("auto_pad", b"NOTSET").decode()
    is_depthwise = groups > 1 and weight.shape[1] == 1
    if weight.ndim != 4 or len(set(strides)) != 1 or set(dilations) != {1} or (groups > 1 and not is_depthwise):
        raise CheckpointError(
            f"{path}: convolution '{node.name}' has weights {weight.shape}, strides {strides}, dilations {dilations} "
            f"and {groups} groups: MobileNet v1 has none such."
        )
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if automatic == "SAME_LOWER" and strides[0] > 1:
        raise CheckpointError(f"{path}: convolution '{node.name}' pads as SAME_LOWER: expected SAME_UPPER or numbers.")
    bias = _constant(path, node, constants, 2) if len(node.inputs) > 2 and node.inputs[2] else None
    return Convolution(
        name=node.name,
        weight=weight,
        bias=bias,
        stride=int(strides[0]),
        pads=None if automatic.startswith("SAME") else (left, right, top, bottom),
        is_depthwise=is_depthwise,
    )


def _dense(path: Path, node: _Node, constants: dict[str, Array]) -> Dense:
    weight, given = _constant(path, node, constants, 1), node.attributes
    if weight.ndim != 2 or given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        raise CheckpointError(f"{path}: operator '{node.name}' ({node.kind}) is not a fully connected layer.")
    bias = _constant(path, node, constants, 2) if len(node.inputs) > 2 and node.inputs[2] else None
    return Dense(name=node.name, weight=weight if given.get("transB", 0) else weight.T, bias=bias)


def _constant(path: Path, node: _Node, constants: dict[str, Array], number: int) -> Array:
    name = node.inputs[number] if number < len(node.inputs) else ""
    if name not in constants:
        raise CheckpointError(
            f"{path}: operator '{node.name}' ({node.kind}) takes weights that are computed or missing ('{name}'): "
            "export the model with constant folding."
        )
    return np.asarray(constants[name], np.float32)


def _clip(node: _Node, constants: dict[str, Array]) -> str:
    ends = [*(constants.get(name) for name in node.inputs[1:3]), None, None]
    limits = node.attributes.get("min", -np.inf), node.attributes.get("max", np.inf)
    low, high = (float(given if end is None else end) for end, given in zip(ends, limits, strict=False))
    if low != 0:
        return f"a clip from {low:g} to {high:g}"
    return "relu6" if high == 6 else "relu" if high > 1e30 else f"a clip from 0 to {high:g}"


def _padding(path: Path, node: _Node, constants: dict[str, Array], is_last: bool) -> Layer:
    numbers = node.attributes.get("pads") or _constant(path, node, constants, 1).tolist()
    mode = node.attributes.get("mode", b"constant")
    value = constants.get(node.inputs[2], np.zeros(1)) if len(node.inputs) > 2 else np.zeros(1)
    if len(numbers) != 8 or mode != b"constant" or np.any(value):
        raise CheckpointError(f"{path}: operator '{node.name}' pads with something else than zeros.")
    before, after = [int(n) for n in numbers[:4]], [int(n) for n in numbers[4:]]
    axis = 1 if is_last else 2
    rows, columns = ((before[n], after[n]) for n in (axis, axis + 1))
    return padding(path, node, rows, columns, sum(map(abs, before + after)) - sum(rows) - sum(columns))
