"""The float network as ONNX, in float32 or, for TensorRT 11, which has no precision flags, typed float16."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from convert.export.onnx.graph import Graph
from convert.quantization import FoldedNetwork
from edge.bundles.variant import Variant

__all__ = ["FloatPrecision", "to_onnx"]

FloatPrecision = Literal["fp32", "fp16"]
_TYPES: Final[dict[FloatPrecision, Any]] = {"fp32": np.float32, "fp16": np.float16}


def to_onnx(network: FoldedNetwork, variant: Variant, precision: FloatPrecision = "fp32") -> bytes:
    """The network as the bytes of an ``.onnx`` file, batch norm folded.

    Input: normalized pictures (1, 3, ρ, ρ) of the precision's type. Output: probabilities float32 (1, classes).

    Raises:
        ConversionError: ONNX's own checker refuses the graph.
    """
    dtype = _TYPES[precision]
    graph = Graph(variant, network.classes, dtype, channels=network.layers[0].weight.shape[1])
    current = graph.input
    for layer in network.layers:
        if layer.pools:
            current = graph.add("GlobalAveragePool", "pool", [current])
        weight = graph.constant(f"{layer.name}/weight", layer.weight.numpy().astype(dtype))
        bias = graph.constant(f"{layer.name}/bias", layer.bias.numpy().astype(dtype))
        sums = graph.convolution(
            f"{layer.name}/sum",
            [current, weight, bias],
            kernel=layer.weight.shape[-1],
            stride=layer.stride,
            pads=layer.pads,
            groups=layer.weight.shape[0] if layer.kind == "depthwise" else 1,
        )
        limits = None if layer.cap is None else (0.0, layer.cap)
        current = graph.activation(layer.name, sums, limits, dtype)
    return graph.bytes(current if precision == "fp32" else graph.cast("logits/float", current, np.float32))
