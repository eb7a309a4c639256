"""Small models to begin with: layers of every kind that classifiers have, in int8 and in floats."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge.bundles.bundle import shipped_folder

__all__ = ["CLASSES", "SIDE", "packed", "small_models", "unpacked"]

SIDE: Final = 32
CLASSES: Final = 10
_TYPES: Final = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32, "float32": schema.TensorType.FLOAT32}
_VERSIONS: Final = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1, "FULLY_CONNECTED": 4}
"""Of operators that have int8 in another version than the second."""


def packed(model: Any) -> bytes:
    """The file of an object tree."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpacked(content: bytes) -> Any:
    """The object tree of a file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


@cache
def small_models() -> dict[str, bytes]:
    """Files by name: a small int8 MobileNet, a float graph of other layers, an int8 one, and the demo's smallest."""
    demo = shipped_folder("demo")
    assert demo is not None
    return {
        "mobilenet": _mobilenet(),
        "float": _others("float32"),
        "int8": _others("int8"),
        "demo": (demo / "mobilenet_v1_0.25_128_int8.tflite").read_bytes(),
    }


class _Graph:
    """Builds one graph, tensor by tensor."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.random = dtype, np.random.default_rng(0)
        self.buffers: list[Any] = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[str] = []
        self.picture = self.activation((1, SIDE, SIDE, 3))

    def activation(self, shape: tuple[int, ...], scale: float = 1 / 16, zero_point: int = 0) -> int:
        return self._tensor(shape, self.dtype, 0, [scale], [zero_point])

    def constant(self, values: NDArray[Any], scales: int = 1, axis: int = 0) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self._tensor(values.shape, values.dtype.name, len(self.buffers) - 1, [0.01] * scales, [0] * scales, axis)

    def weights(self, shape: tuple[int, ...], axis: int = 0) -> int:
        if self.dtype == "float32":
            return self.constant(self.random.normal(size=shape).astype(np.float32))
        return self.constant(self.random.integers(-127, 127, shape).astype(np.int8), shape[axis], axis)

    def bias(self, size: int) -> int:
        return self.constant(np.zeros(size, "float32" if self.dtype == "float32" else "int32"), size)

    def add(self, name: str, inputs: list[int], output: int, options: str = "", **values: Any) -> int:
        operator = schema.OperatorT()
        if name not in self.codes:
            self.codes.append(name)
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(name), inputs, [output]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            vars(operator.builtinOptions).update(values)
        self.operators.append(operator)
        return output

    def file(self, output: int) -> bytes:
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [0], [output]
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), _VERSIONS.get(name, 2)
            model.operatorCodes.append(code)
        return packed(model)

    def _tensor(
        self, shape: tuple[int, ...], dtype: str, buffer: int, scales: list[float], zeros: list[int], axis: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), _TYPES[dtype], buffer
        tensor.name = f"t{len(self.tensors)}".encode()
        if dtype != "float32" and self.dtype != "float32":
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scales, np.float32)
            tensor.quantization.zeroPoint = np.array(zeros, np.int64)
            tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _softmax(graph: _Graph, logits: int) -> bytes:
    answer = graph.activation((1, CLASSES), 1 / 256, -128)
    return graph.file(graph.add("SOFTMAX", [logits], answer, "SoftmaxOptions", beta=1.0))


def _mobilenet() -> bytes:
    """Convolution, depthwise and pointwise convolution, pool, classifier: each as the converter writes it."""
    graph, windows = _Graph("int8"), {"dilationHFactor": 1, "dilationWFactor": 1, "fusedActivationFunction": 3}
    first = graph.activation((1, 16, 16, 8))
    graph.add(
        "CONV_2D", [0, graph.weights((8, 3, 3, 3)), graph.bias(8)], first,
        "Conv2DOptions", strideH=2, strideW=2, **windows,
    )  # fmt: skip
    second = graph.activation((1, 16, 16, 8))
    graph.add(
        "DEPTHWISE_CONV_2D", [first, graph.weights((1, 3, 3, 8), 3), graph.bias(8)], second,
        "DepthwiseConv2DOptions", strideH=1, strideW=1, depthMultiplier=1, **windows,
    )  # fmt: skip
    third = graph.activation((1, 16, 16, 16))
    graph.add(
        "CONV_2D", [second, graph.weights((16, 1, 1, 8)), graph.bias(16)], third,
        "Conv2DOptions", strideH=1, strideW=1, **windows,
    )  # fmt: skip
    pooled = graph.activation((1, 1, 1, 16))
    axes = graph.constant(np.array([1, 2], np.int32))
    graph.add("MEAN", [third, axes], pooled, "ReducerOptions", keepDims=True)
    scores = graph.activation((1, 1, 1, CLASSES))
    graph.add(
        "CONV_2D", [pooled, graph.weights((CLASSES, 1, 1, 16)), graph.bias(CLASSES)], scores,
        "Conv2DOptions", strideH=1, strideW=1, **windows | {"fusedActivationFunction": 0},
    )  # fmt: skip
    logits = graph.activation((1, CLASSES))
    shape = graph.constant(np.array([1, CLASSES], np.int32))
    return _softmax(graph, graph.add("RESHAPE", [scores, shape], logits, "ReshapeOptions", newShape=[1, CLASSES]))


def _others(dtype: str) -> bytes:
    """Padding, pools, sums, products, concatenation and a dense layer: what other classifiers have."""
    graph = _Graph(dtype)
    pads = graph.constant(np.array([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32))
    padded = graph.add("PAD", [0, pads], graph.activation((1, SIDE + 1, SIDE + 1, 3)), "PadOptions")
    windows = {"padding": 1, "dilationHFactor": 1, "dilationWFactor": 1, "strideH": 2, "strideW": 2}
    inputs = [padded, graph.weights((4, 3, 3, 3)), graph.bias(4)]
    first = graph.add("CONV_2D", inputs, graph.activation((1, 16, 16, 4)), "Conv2DOptions", **windows)
    sizes = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    most = graph.add("MAX_POOL_2D", [first], graph.activation((1, 8, 8, 4)), "Pool2DOptions", **sizes)
    mean = graph.add("AVERAGE_POOL_2D", [first], graph.activation((1, 8, 8, 4)), "Pool2DOptions", **sizes)
    total = graph.add("ADD", [most, mean], graph.activation((1, 8, 8, 4)), "AddOptions")
    product = graph.add("MUL", [most, total], graph.activation((1, 8, 8, 4)), "MulOptions")
    both = graph.activation((1, 8, 8, 8))
    graph.add("CONCATENATION", [total, product], both, "ConcatenationOptions", axis=3)
    flat, shape = graph.activation((1, 512)), graph.constant(np.array([1, 512], np.int32))
    graph.add("RESHAPE", [both, shape], flat, "ReshapeOptions", newShape=[1, 512])
    dense = [flat, graph.weights((CLASSES, 512)), graph.bias(CLASSES)]
    logits = graph.activation((1, CLASSES))
    return _softmax(graph, graph.add("FULLY_CONNECTED", dense, logits, "FullyConnectedOptions"))
