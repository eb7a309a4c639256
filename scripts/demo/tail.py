"""The last layers of an int8 file of ours: cut off, read as real numbers, and written back in place.

They are the convolutions from some block on. What comes before them stays as it is, so what they see can be computed
once, by the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

__all__ = ["TailLayer", "before_tail", "read_tail", "weight_scales", "with_tail"]

_NAME: Final = re.compile(r"block(\d+)/(depthwise|pointwise)")
_IDENTIFIER: Final = b"TFL3"
_MOST_BIAS: Final = 2.0**30

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TailLayer:
    """A convolution with ReLU6."""

    name: str
    weight: Array
    """As PyTorch has it: (outputs, inputs of a group, height, width)."""
    bias: Array
    stride: int
    scale_in: float
    """Of what it takes, for the bias's own."""

    @property
    def is_depthwise(self) -> bool:
        """One filter a channel."""
        return self.name.endswith("depthwise")


def read_tail(path: Path, first_block: int) -> list[TailLayer]:
    """The layers of the file from block ``first_block`` of thirteen on, in order."""
    model = _model(path)
    graph = model.subgraphs[0]
    found = []
    for operator in _tail(graph, first_block):
        taken, weight, bias = (graph.tensors[int(number)] for number in operator.inputs)
        levels = _values(model, weight, np.int8).reshape(weight.shape).astype(np.float64)
        scales = np.asarray(weight.quantization.scale, np.float64)
        axis = int(weight.quantization.quantizedDimension)
        real = levels * scales.reshape([-1 if n == axis else 1 for n in range(4)])
        is_depthwise = _named(graph, operator).endswith("depthwise")
        found.append(
            TailLayer(
                name=_named(graph, operator),
                weight=real.transpose((3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2)),
                bias=_values(model, bias, np.int32) * np.asarray(bias.quantization.scale, np.float64),
                stride=int(operator.builtinOptions.strideH),
                scale_in=float(taken.quantization.scale[0]),
            )
        )
    return found


def before_tail(path: Path, first_block: int) -> bytes:
    """A model whose answer is what the last layers see, (1, height, width, channels)."""
    model = _model(path)
    graph = model.subgraphs[0]
    first = _tail(graph, first_block)[0]
    graph.operators = graph.operators[: graph.operators.index(first)]
    graph.outputs = [int(first.inputs[0])]
    model.signatureDefs = None
    return _packed(model)


def with_tail(path: Path, layers: Sequence[TailLayer]) -> bytes:
    """The file with other numbers in its last layers, quantized per output."""
    model = _model(path)
    graph = model.subgraphs[0]
    tail = _tail(graph, 1)[-len(layers) :]
    for operator, layer in zip(tail, layers, strict=True):
        weight, bias = (graph.tensors[int(number)] for number in operator.inputs[1:])
        scales = np.maximum(weight_scales(layer.weight), np.abs(layer.bias) / (_MOST_BIAS * layer.scale_in))
        levels = np.rint(layer.weight / scales[:, None, None, None]).clip(-127, 127).astype(np.int8)
        order = (1, 2, 3, 0) if layer.is_depthwise else (0, 2, 3, 1)
        model.buffers[weight.buffer].data = np.frombuffer(
            np.ascontiguousarray(levels.transpose(order)).tobytes(), np.uint8
        )
        weight.quantization.scale = scales.astype(np.float32)
        units = scales.astype(np.float32).astype(np.float64) * layer.scale_in
        offsets = np.rint(layer.bias / units).clip(-(2**31), 2**31 - 1).astype(np.int32)
        model.buffers[bias.buffer].data = np.frombuffer(offsets.tobytes(), np.uint8)
        bias.quantization.scale = units.astype(np.float32)
    return _packed(model)


def weight_scales(weight: Array) -> Array:
    """The unit of each output's weights."""
    return np.asarray(np.maximum(np.abs(weight).max(axis=(1, 2, 3)) / 127, 1e-6))


def _tail(graph: Any, first_block: int) -> list[Any]:
    found = []
    for operator in graph.operators:
        match = _NAME.fullmatch(_named(graph, operator))
        if match and int(match[1]) >= first_block:
            found.append(operator)
    return found


def _named(graph: Any, operator: Any) -> str:
    return str(graph.tensors[int(operator.outputs[0])].name.decode())


def _values(model: Any, tensor: Any, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes(), dtype)


def _model(path: Path) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())
