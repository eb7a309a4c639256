"""Float networks of TensorFlow Lite, with the schema that ``ai-edge-litert`` carries: weights from the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.checkpoints.graph import Node, affine, byte_layers, padding, pixel_layers, pixel_steps, row, side_of
from convert.checkpoints.network import (
    ActivationLayer,
    Array,
    BestClass,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Network,
    Pool,
)
from convert.checkpoints.pixel_map import PixelMap
from convert.checkpoints.tflite_pixels import TflitePixels
from convert.errors import CheckpointError
from edge.errors import BackendError
from edge.inference.tflite_structure import check_structure

__all__ = ["read_tflite"]

_Node = Node[int]
_OPERATORS: Final = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_FUNCTIONS: Final = {
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "a clip from -1 to 1",
    "TANH": "tanh",
    "SIGN_BIT": "a sign bit",
    "SOFTMAX": "softmax",
    "LOG_SOFTMAX": "softmax",
    "LOGISTIC": "sigmoid",
    "LOG": "log",
}
_FUSED: Final = {
    value: _FUNCTIONS[name] for name, value in vars(schema.ActivationFunctionType).items() if name in _FUNCTIONS
}
_AFFINE: Final = {"MUL": "mul", "ADD": "add", "SUB": "sub", "DIV": "div"}
_WEIGHTED: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_INTEGERS: Final = tuple(
    getattr(schema.TensorType, name)
    for name in ("INT4", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64")
)
_MOST_CHANNELS: Final = 64
_FLAT: Final = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_TYPES: Final[dict[int, Any]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
}
_SKIPPED: Final = ("CAST", "DEQUANTIZE", "QUANTIZE")
"""Of floats: behind the last layer, where the answer is given in another type."""
_BROKEN: Final = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError, KeyError)


def read_tflite(path: Path) -> Network:
    """The network in a float ``.tflite`` file.

    Raises:
        CheckpointError: It is damaged, quantized, or another network.
    """
    try:
        check_structure(path, for_device=False)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
        graph = model.subgraphs[0]
        ends = list(graph.inputs), list(graph.outputs)
        nodes = [_node(model, graph, operator) for operator in graph.operators]
        constants = {n: data for n, tensor in enumerate(graph.tensors) if (data := _data(model, tensor)) is not None}
        shape = [int(n) for n in graph.tensors[ends[0][0]].shape]
        signature = graph.tensors[ends[0][0]].shapeSignature
    except BackendError as reason:
        raise CheckpointError(str(reason)) from reason
    except _BROKEN as reason:
        raise CheckpointError(f"{path} is a damaged or truncated .tflite file: {str(reason)[:80]}.") from reason
    _check_ends(path, ends)
    _check_float(path, graph, nodes, (*ends[0], *ends[1]))
    if signature is not None and len(signature) == len(shape):
        shape = [int(n) for n in signature]
    if len(shape) != 4:
        raise CheckpointError(f"{path} takes {len(shape)} dimensions: expected pictures, which have four.")
    for node in nodes:
        if node.kind == "DEQUANTIZE" and node.inputs[0] in constants:  # weights in half precision
            constants[node.outputs[0]] = constants[node.inputs[0]]
    kind = graph.tensors[ends[0][0]].type
    scales = _scales(graph, ends[0])
    takes_bytes = kind in _INTEGERS and not scales
    layers = list(byte_layers("input", is_signed=takes_bytes and kind == schema.TensorType.INT8))
    axes = "NCHW" if shape[1] in (1, 3) and shape[3] not in (1, 3) else "NHWC"
    channels = min(max(1, shape[axes.index("C")]), _MOST_CHANNELS)
    try:
        apply = TflitePixels(constants, [tensor.type for tensor in graph.tensors], scales)
        picture = PixelMap.of_picture(axes, channels)
        start, pixels, name = pixel_steps(path, nodes, ends[0][0], picture, apply)
        layers += pixel_layers(path, pixels, name, channels)
        for node, taken in row(path, nodes, start, ends[1][0]):
            layers += _layers(path, node, taken, constants)
    except _BROKEN as reason:
        if isinstance(reason, CheckpointError):
            raise
        raise CheckpointError(f"{path} is a damaged .tflite file: {str(reason)[:80]}.") from reason
    side = side_of(path, [None if n < 0 else n for n in shape], is_channels_last=axes == "NHWC")
    return Network(layout="tflite", layers=tuple(layers), resolution=side, takes_bytes=takes_bytes, has_background=True)


def _scales(graph: Any, inputs: Sequence[int]) -> dict[int, tuple[float, int]]:
    """The scale and the zero point of an input or an output, if it has some."""
    quantization = graph.tensors[inputs[0]].quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return {}
    zero_point = 0 if quantization.zeroPoint is None else int(quantization.zeroPoint[0])
    return {inputs[0]: (float(quantization.scale[0]), zero_point)}


def _check_ends(path: Path, ends: tuple[list[int], list[int]]) -> None:
    if len(ends[0]) != 1 or len(ends[1]) != 1:
        raise CheckpointError(
            f"{path} has {len(ends[0])} inputs and {len(ends[1])} outputs: expected one picture and one answer, as a "
            "classifier has. A detector, for one, cannot be read."
        )


def _check_float(path: Path, graph: Any, nodes: list[_Node], ends: Sequence[int]) -> None:
    weights = [node.inputs[1] for node in nodes if node.kind in _WEIGHTED and len(node.inputs) > 1]
    if any(graph.tensors[tensor].type in _INTEGERS for tensor in weights):
        is_bare = any(graph.tensors[end].type in _INTEGERS and not _scales(graph, [end]) for end in ends)
        way = (
            "convert the network that it was made from, without casts at its ends"
            if is_bare
            else f"edge bundle import {path.name} makes a bundle of it as it is"
        )
        raise CheckpointError(f"{path} is quantized already, and its float weights are gone: {way}.")


def _node(model: Any, graph: Any, operator: Any) -> _Node:
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    kind = _OPERATORS.get(number, str(number))
    if kind == "CUSTOM":
        kind = (code.customCode or b"").decode("utf-8", "replace")
    outputs = tuple(int(n) for n in operator.outputs)
    attributes = {} if operator.builtinOptions is None else vars(operator.builtinOptions)
    name = (graph.tensors[outputs[0]].name or b"").decode("utf-8", "replace")
    inputs = tuple(int(n) for n in operator.inputs)
    return Node(kind=kind, name=name.rpartition(";")[2], inputs=inputs, outputs=outputs, attributes=attributes)


def _data(model: Any, tensor: Any) -> Array | None:
    """The values of a constant tensor; None of one that is computed, or of another type."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type not in _TYPES:
        return None
    shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
    found: Array = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _TYPES[tensor.type]).reshape(shape)
    return found


def _layers(path: Path, node: _Node, taken: int, constants: dict[int, Array]) -> Iterator[Layer]:
    kind, name, given = node.kind, node.name, node.attributes
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        yield _convolution(path, node, constants)
    elif kind == "FULLY_CONNECTED":
        bias = constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        yield Dense(name=name, weight=_weights(path, node, constants), bias=bias)
    elif kind in _AFFINE:
        other = next((constants[tensor] for tensor in node.inputs if tensor in constants), None)
        yield affine(path, node, _AFFINE[kind], other, is_first=node.inputs[0] == taken)
    elif kind in ("PAD", "PADV2"):
        (before, after), rows, columns, (first, last) = constants[node.inputs[1]].tolist()
        if kind == "PADV2" and np.any(constants[node.inputs[2]]):
            raise CheckpointError(f"{path}: operator '{name}' pads with something else than zeros.")
        yield padding(path, node, tuple(rows), tuple(columns), before + after + first + last)
    elif kind == "MEAN" and sorted(constants[node.inputs[1]].ravel().tolist()) == [1, 2]:
        yield Pool(name=name)
    elif kind == "AVERAGE_POOL_2D" and given["filterWidth"] == given["filterHeight"]:
        yield Pool(name=name, side=int(given["filterWidth"]))
    elif kind in ("REDUCE_MAX", "MAX_POOL_2D"):
        yield Pool(name=name, is_maximum=True)
    elif kind == "ARG_MAX" and np.any(constants[node.inputs[1]]):
        yield BestClass(name=name)
    elif kind in ("ARG_MAX", "TOPK_V2"):
        raise CheckpointError(
            f"{path}: operator '{name}' ({kind}) leaves some of the answers: convert the network without it, so that "
            "it answers with one number for each class."
        )
    elif kind in _SKIPPED:
        return
    elif kind in _FLAT:
        yield Flatten(name=name)
    elif kind in _FUNCTIONS:
        yield ActivationLayer(name=name, function=_FUNCTIONS[kind])
    else:
        raise CheckpointError(
            f"{path}: operator '{name}' is a {kind}: MobileNet v1 has none such there. This is another architecture."
        )
    if function := _FUSED.get(given.get("fusedActivationFunction", 0)):
        yield ActivationLayer(name=name, function=function)


def _convolution(path: Path, node: _Node, constants: dict[int, Array]) -> Convolution:
    weight, given = _weights(path, node, constants), node.attributes
    is_depthwise = node.kind == "DEPTHWISE_CONV_2D"
    stride = given["strideW"]
    if stride != given["strideH"] or given["dilationWFactor"] != 1 or given["dilationHFactor"] != 1:
        raise CheckpointError(
            f"{path}: convolution '{node.name}' has strides {stride} and {given['strideH']} or a dilation: MobileNet "
            "v1 has none such."
        )
    return Convolution(
        name=node.name,
        weight=weight.transpose((3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2)),
        bias=constants.get(node.inputs[2]) if len(node.inputs) > 2 else None,
        stride=int(stride),
        pads=None if given["padding"] == schema.Padding.SAME else (0, 0, 0, 0),
        is_depthwise=is_depthwise,
    )


def _weights(path: Path, node: _Node, constants: dict[int, Array]) -> Array:
    if node.inputs[1] not in constants:
        raise CheckpointError(f"{path}: the weights of operator '{node.name}' ({node.kind}) are not in the file.")
    return constants[node.inputs[1]].astype(np.float32)
