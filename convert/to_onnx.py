"""Emit the float network as ONNX, for ONNX Runtime and as TensorRT's starting point."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from convert.quantize import FoldedLayer, FoldedNetwork
from edge.errors import ConversionError
from edge.variant import Variant

__all__ = ["to_onnx"]

OPSET: Final = 13
"""The oldest with per-channel quantization; every TensorRT since 8.0 and ONNX Runtime since 1.6 read it."""
IR_VERSION: Final = 7


def to_onnx(network: FoldedNetwork, variant: Variant) -> bytes:
    """The network as the bytes of an ``.onnx`` file, batch norm folded.

    Input: normalized pictures float32 (1, 3, ρ, ρ). Output: probabilities float32 (1, classes).

    Raises:
        ConversionError: ONNX's own checker refuses the graph.
    """
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    current = "input"
    for layer in network.layers:
        if layer.kind == "classifier":
            nodes.append(helper.make_node("GlobalAveragePool", [current], ["pool"]))
            current = "pool"
        constants += [_constant(f"{layer.name}/weight", layer.weight.numpy())]
        constants += [_constant(f"{layer.name}/bias", layer.bias.numpy())]
        current = _convolution(nodes, constants, layer, current)
    nodes.append(helper.make_node("Flatten", [current], ["logits"], axis=1))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    side = variant.resolution
    graph = helper.make_graph(
        nodes,
        variant.name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, network.classes])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mobilenet-edge")
    model.ir_version = IR_VERSION
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as reason:
        raise ConversionError(f"The ONNX graph of {variant.name} is not valid: {reason}") from reason
    return bytes(model.SerializeToString(deterministic=True))


def _convolution(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], layer: FoldedLayer, current: str
) -> str:
    left, right, top, bottom = layer.pads
    kernel = layer.weight.shape[-1]
    node = helper.make_node(
        "Conv",
        [current, f"{layer.name}/weight", f"{layer.name}/bias"],
        [f"{layer.name}/sum"],
        kernel_shape=[kernel, kernel],
        strides=[layer.stride, layer.stride],
        pads=[top, left, bottom, right],
        group=layer.weight.shape[0] if layer.kind == "depthwise" else 1,
    )
    nodes.append(node)
    if layer.cap is None:
        return f"{layer.name}/sum"
    if layer.cap == float("inf"):
        nodes.append(helper.make_node("Relu", [f"{layer.name}/sum"], [layer.name]))
        return layer.name
    low, high = f"{layer.name}/low", f"{layer.name}/high"
    constants += [_constant(low, np.float32(0)), _constant(high, np.float32(layer.cap))]
    nodes.append(helper.make_node("Clip", [f"{layer.name}/sum", low, high], [layer.name]))
    return layer.name


def _constant(name: str, values: NDArray[np.float32] | np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)
