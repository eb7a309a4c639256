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

from convert.checkpoints.architectures import naming_architecture
from convert.checkpoints.constants import fold_constants
from convert.checkpoints.graph import Node, byte_layers, pixel_layers, pixel_steps, row, side_of
from convert.checkpoints.network import Array, Network
from convert.checkpoints.onnx_layers import layers_of, turns
from convert.checkpoints.onnx_pixels import OnnxPixels
from convert.checkpoints.onnx_steps import steps
from convert.checkpoints.pixel_map import PixelMap
from convert.errors import CheckpointError
from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD

__all__ = ["read_onnx"]

_Node = Node[str]
_INTEGERS: Final = (
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.INT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
)
_MOST_CHANNELS: Final = 64
_BROKEN: Final = (IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)
_TRAINING: Final = "it was exported in training mode: batch norm's stored statistics are taken, as in evaluation"


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
    with naming_architecture(path, lambda: (_dotted(one.name) for one in (*graph.initializer, *graph.node))):
        return _network(path, model)


def _dotted(name: str) -> str:
    """A name as PyTorch has it: exporters write ``/features/features.1/conv/conv.0/Conv`` for ``features.1.conv.0``."""
    parts: list[str] = []
    for part in name.strip("/").split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def _network(path: Path, model: onnx.ModelProto) -> Network:
    graph = model.graph
    if not graph.node:
        raise CheckpointError(f"{path} is ONNX without an operator: it is damaged or cut short. Export it again.")
    _check_float(path, graph)
    constants = dict(_constants(path, graph))
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    fold_constants(graph, max(versions, default=1), constants)
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
    axes = "NHWC" if shape[1] not in (1, 3) and shape[3] in (1, 3) else "NCHW"
    channels = min(shape[axes.index("C")] or 3, _MOST_CHANNELS)
    kind = inputs[0].type.tensor_type.elem_type
    nodes = [_node(node) for node in graph.node if node.op_type != "Constant"]
    picture, apply = PixelMap.of_picture(axes, channels), OnnxPixels(constants)
    start, pixels, name = pixel_steps(path, nodes, inputs[0].name, picture, apply)
    is_last = pixels.axes.endswith("HWC")
    layers = [
        *byte_layers(inputs[0].name, is_signed=kind == onnx.TensorProto.INT8),
        *pixel_layers(path, pixels, name, channels),
    ]
    for node, taken in steps(nodes, row(path, nodes, start, graph.output[0].name), constants):
        is_last = is_last != turns(node)
        try:
            layers += layers_of(path, node, taken, constants, is_last)
        except _BROKEN as reason:
            if isinstance(reason, CheckpointError):
                raise
            raise CheckpointError(
                f"{path}: operator '{node.name}' ({node.kind}) is damaged: {str(reason)[:80]}. Export the model again."
            ) from reason
    is_torch = model.producer_name.startswith("pytorch")
    settings = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD} if is_torch else {"mean": HALF_RANGE, "std": HALF_RANGE}
    is_training = any(node.kind == "BatchNormalization" and node.attributes.get("training_mode") for node in nodes)
    return Network(
        layout="onnx",
        layers=tuple(layers),
        resolution=side_of(path, shape, is_channels_last=axes == "NHWC"),
        settings=settings,
        notes=(_TRAINING,) * is_training,
        takes_bytes=kind in _INTEGERS,
        has_background=True,
    )


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
