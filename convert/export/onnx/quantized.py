"""The symmetric network as ONNX with explicit Q/DQ operators, placed so that TensorRT makes int8 kernels of them.

Q and DQ stand before each layer that works in int8, and a DQ after its weights; nothing stands between a convolution
and its activation. Biases stay float: TensorRT reads no integer ones. Up to opset 18, Q and DQ know float32 only, so
half floats are widened before Q and narrowed after the activation, where builders fold the cast into the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.export.onnx.graph import Graph
from convert.quantization.qdq import SymmetricLayer, SymmetricNetwork

__all__ = ["to_qdq"]


def to_qdq(network: SymmetricNetwork) -> bytes:
    """The network as the bytes of an ``.onnx`` file.

    Input: normalized pictures (1, 3, ρ, ρ), float16 in the mixed form and float32 in the full one.
    Output: probabilities float32 (1, classes).

    Raises:
        ConversionError: ONNX's own checker refuses the graph.
    """
    narrow = np.float16 if network.form == "mixed" else np.float32
    return _Writer(
        Graph(network.variant, network.classes, narrow, channels=network.layers[0].weight.shape[1]), narrow
    ).bytes(network)


class _Writer:
    """Follows the layers and knows of what type the activations at hand are."""

    def __init__(self, graph: Graph, narrow: type[np.floating[Any]]) -> None:
        self._graph, self._narrow = graph, narrow
        self._current, self._dtype = graph.input, narrow
        self._zero = graph.constant("zero", np.int8(0))

    def bytes(self, network: SymmetricNetwork) -> bytes:
        for layer in network.layers:
            if layer.pools:
                self._current = self._graph.add("GlobalAveragePool", "pool", [self._current])
            self._layer(layer)
        self._become("logits/wide", np.float32)
        return self._graph.bytes(self._current)

    def _layer(self, layer: SymmetricLayer) -> None:
        graph, name = self._graph, layer.name
        if layer.input_scale is None:
            self._become(f"{name}/narrow", self._narrow)
            weight = graph.constant(f"{name}/weight", layer.weight.astype(self._dtype))
        else:
            self._become(f"{name}/wide", np.float32)
            self._round(name, np.float32(layer.input_scale))
            weight = self._int8_weight(layer)
        bias = graph.constant(f"{name}/bias", layer.bias.astype(self._dtype))
        sums = graph.convolution(
            f"{name}/sum",
            [self._current, weight, bias],
            kernel=layer.weight.shape[-1],
            stride=layer.stride,
            pads=layer.pads,
            groups=len(layer.weight) if layer.kind == "depthwise" else 1,
        )
        self._current = graph.activation(name, sums, layer.limits, self._dtype)

    def _become(self, name: str, dtype: type[np.floating[Any]]) -> None:
        """Turn the activations into ``dtype`` unless they are."""
        if self._dtype is not dtype:
            self._current, self._dtype = self._graph.cast(name, self._current, dtype), dtype

    def _round(self, name: str, scale: NDArray[np.float32] | np.float32) -> None:
        step = self._graph.constant(f"{name}/input_scale", scale)
        levels = self._graph.add("QuantizeLinear", f"{name}/input_levels", [self._current, step, self._zero])
        self._current = self._graph.add("DequantizeLinear", f"{name}/input", [levels, step, self._zero])

    def _int8_weight(self, layer: SymmetricLayer) -> str:
        assert layer.weight_scales is not None
        levels = self._graph.constant(f"{layer.name}/weight_levels", layer.weight)
        scales = self._graph.constant(f"{layer.name}/weight_scales", layer.weight_scales)
        zeros = self._graph.constant(f"{layer.name}/weight_zeros", np.zeros(len(layer.weight), np.int8))
        return self._graph.add("DequantizeLinear", f"{layer.name}/weight", [levels, scales, zeros], axis=0)
