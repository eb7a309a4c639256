"""Cut the classifier off a ``.tflite`` file, and put another one in its place, by editing the flatbuffer.

The classifier is what comes after the last tensor that is one vector of features for the picture: dense layers, as
1x1 convolutions or FULLY_CONNECTED, and a softmax. What comes before stays as it is, so the new file is as fast. The
new classifier is a 1x1 convolution, which every runtime has in each precision, and a softmax, in the features' type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import TeachingError
from edge.inference.metadata_writer import METADATA, ModelCard, ModelFacts, append_labels, metadata
from edge.teaching.head import Array, Head

__all__ = ["Backbone"]

_IDENTIFIER: Final = b"TFL3"
_LAYERS: Final = ("CONV_2D", "FULLY_CONNECTED")
_PASSED_OVER: Final = ("SOFTMAX", "RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE", "RELU", "RELU6", "DELEGATE")
_VERSIONS: Final = {("CONV_2D", "int8"): 3, ("SOFTMAX", "int8"): 2}
"""The oldest version of an operator that has the type; 1 where none is named."""
_PROBABILITY_SCALE: Final = 1 / 256
_MOST_BIAS: Final = 2.0**30


class Backbone:
    """A classifier's file without its classifier."""

    def __init__(self, path: Path) -> None:
        """Find the features.

        Raises:
            TeachingError: The file cannot be cut, or the library for it is missing.
        """
        self._flatbuffers, self._schema = _libraries()
        self._path, self._content = path, path.read_bytes()
        model = self._model()
        if len(model.subgraphs) != 1 or any(getattr(buffer, "offset", 0) > 1 for buffer in model.buffers):
            raise TeachingError(f"{path} is not one plain graph: its classifier cannot be replaced.")
        self._names = {number: name for name, number in vars(self._schema.BuiltinOperator).items() if name[0] != "_"}
        self._features = self._cut(model)
        tensor = model.subgraphs[0].tensors[self._features]
        self.dtype = self._dtype(tensor)
        """NumPy's name of the features' type: ``int8``, ``uint8`` or ``float32``."""
        self.width = int(tensor.shape[-1])
        """Number of features."""
        scale, zero_point = self._quantization(tensor)
        self._scale, self._zero_point = scale, zero_point

    def without_classifier(self) -> bytes:
        """A model whose answer is the features."""
        model = self._model()
        model.subgraphs[0].outputs = [self._features]
        return self._packed(model, ())

    def with_classifier(self, head: Head, facts: ModelFacts, card: ModelCard) -> bytes:
        """The model with another classifier, and what ``card`` and ``facts`` say of it in place of what it said."""
        model = self._model()
        self._append(model, head)
        return append_labels(self._packed(model, metadata(facts, card)), card.labels)

    def _model(self) -> Any:
        return self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAs(self._content, 0))

    def _cut(self, model: Any) -> int:
        """The earliest tensor on the way back from the output that is one vector, and that a layer takes."""
        graph = model.subgraphs[0]
        makers = {int(tensor): operator for operator in graph.operators for tensor in operator.outputs}
        current, found, name = int(graph.outputs[0]), -1, "nothing"
        while current in makers:
            operator = makers[current]
            name = self._name(model, operator)
            current = int(operator.inputs[0])
            if name in _LAYERS and _is_vector(graph.tensors[current]):
                found = current
            elif name not in _PASSED_OVER:
                break
        if found < 0:
            raise TeachingError(
                f"{self._path} cannot be cut: before its answer comes {name}, not a layer on one vector of features. "
                "Teach another network, or train this one on a workstation: edge-convert train."
            )
        return found

    def _name(self, model: Any, operator: Any) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        return str(self._names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "an unknown operator"))

    def _dtype(self, tensor: Any) -> str:
        types = self._schema.TensorType
        known = {types.INT8: "int8", types.UINT8: "uint8", types.FLOAT32: "float32"}
        if tensor.type not in known:
            raise TeachingError(f"{self._path} has features of another type than int8, uint8 or float32.")
        return known[tensor.type]

    def _quantization(self, tensor: Any) -> tuple[float, int]:
        found = tensor.quantization
        if self.dtype == "float32":
            return 1.0, 0
        if found is None or found.scale is None or len(found.scale) != 1:
            raise TeachingError(f"{self._path} has features without a scale: its classifier cannot be replaced.")
        return float(found.scale[0]), int(found.zeroPoint[0])

    def _append(self, model: Any, head: Head) -> None:
        count = head.weights.shape[1]
        current = self._features
        writer = _Appender(self._schema, model, self.dtype)
        if len(model.subgraphs[0].tensors[current].shape) != 4:
            current = writer.reshape(current, (1, 1, 1, self.width), "features", self._scale, self._zero_point)
        low, high = min(head.logits_range[0], 0.0), max(head.logits_range[1], 0.0)
        scale, zero_point = writer.range_of(low, high)
        current = writer.convolution(current, head.weights, head.bias, self._scale, scale, zero_point)
        current = writer.reshape(current, (1, count), "logits", scale, zero_point)
        model.subgraphs[0].outputs = [writer.softmax(current, count)]

    def _packed(self, model: Any, about: bytes | Sequence[int]) -> bytes:
        """The file, with nothing left of what is not needed for its output."""
        graph = model.subgraphs[0]
        _drop_unneeded(model, graph)
        model.signatureDefs, model.metadata, model.metadataBuffer = None, None, None
        if about:
            entry, buffer = self._schema.MetadataT(), self._schema.BufferT()
            buffer.data = np.frombuffer(bytes(about), np.uint8)
            model.buffers.append(buffer)
            entry.name, entry.buffer = METADATA.encode(), len(model.buffers) - 1
            model.metadata = [entry]
        builder = self._flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())


class _Appender:
    """Adds tensors and operators to a model."""

    def __init__(self, schema: ModuleType, model: Any, dtype: str) -> None:
        self._schema, self._model, self._dtype = schema, model, dtype
        self._graph = model.subgraphs[0]
        self._types = {
            "int8": schema.TensorType.INT8,
            "uint8": schema.TensorType.UINT8,
            "float32": schema.TensorType.FLOAT32,
            "int32": schema.TensorType.INT32,
        }

    def range_of(self, low: float, high: float) -> tuple[float, int]:
        """Scale and zero point of values between ``low`` and ``high``, where zero has a level."""
        if self._dtype == "float32":
            return 1.0, 0
        limits = np.iinfo(self._dtype)
        scale = float(np.float32((high - low) / 255))
        return scale, int(np.clip(round(limits.min - low / scale), limits.min, limits.max))

    def convolution(
        self, current: int, weights: Array, bias: Array, scale_in: float, scale_out: float, zero_point: int
    ) -> int:
        """A 1x1 convolution of one place."""
        schema, count = self._schema, weights.shape[1]
        options = schema.Conv2DOptionsT()
        options.padding, options.strideW, options.strideH = schema.Padding.VALID, 1, 1
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.NONE
        shape = (count, 1, 1, weights.shape[0])
        if self._dtype == "float32":
            kernel = self._constant("classifier/weight", weights.T.reshape(shape).astype(np.float32))
            offset = self._constant("classifier/bias", bias.astype(np.float32))
        else:
            levels, scales, zero_points = _quantized(weights.T, bias, scale_in, self._dtype)
            kernel = self._constant("classifier/weight", levels.reshape(shape), scales, zero_points)
            bias_scales = (scales.astype(np.float64) * scale_in).astype(np.float32)
            offset_levels = np.round(bias / bias_scales.astype(np.float64)).astype(np.int32)
            offset = self._constant("classifier/bias", offset_levels, bias_scales, np.zeros(len(scales), np.int64))
        output = self._activation("classifier", (1, 1, 1, count), scale_out, zero_point)
        return self._operator("CONV_2D", [current, kernel, offset], output, "Conv2DOptions", options)

    def reshape(self, current: int, shape: tuple[int, ...], name: str, scale: float, zero_point: int) -> int:
        """The same values in another shape."""
        options = self._schema.ReshapeOptionsT()
        options.newShape = list(shape)
        wanted = self._constant(f"{name}/shape", np.array(shape, np.int32))
        output = self._activation(name, shape, scale, zero_point)
        return self._operator("RESHAPE", [current, wanted], output, "ReshapeOptions", options)

    def softmax(self, current: int, count: int) -> int:
        """Probabilities."""
        options = self._schema.SoftmaxOptionsT()
        options.beta = 1.0
        zero_point = -128 if self._dtype == "int8" else 0
        output = self._activation("probabilities", (1, count), _PROBABILITY_SCALE, zero_point)
        return self._operator("SOFTMAX", [current], output, "SoftmaxOptions", options)

    def _activation(self, name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> int:
        is_float = self._dtype == "float32"
        scales = None if is_float else np.array([scale], np.float32)
        return self._tensor(name, shape, self._dtype, 0, scales, np.array([zero_point], np.int64))

    def _constant(
        self, name: str, values: NDArray[Any], scales: Any = None, zero_points: NDArray[np.int64] | None = None
    ) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self._tensor(name, values.shape, values.dtype.name, len(self._model.buffers) - 1, scales, zero_points)

    def _tensor(self, name: str, shape: Sequence[int], dtype: str, buffer: int, scales: Any, zero_points: Any) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"taught/{name}".encode(), list(shape), self._types[dtype]
        tensor.buffer = buffer
        if scales is not None:
            found = tensor.quantization = self._schema.QuantizationParametersT()
            found.scale, found.zeroPoint, found.quantizedDimension = scales, zero_points, 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator(self, name: str, inputs: list[int], output: int, kind: str, options: Any) -> int:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(name)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = getattr(self._schema.BuiltinOptions, kind), options
        self._graph.operators.append(operator)
        return output

    def _code(self, name: str) -> int:
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, _VERSIONS.get((name, self._dtype), 1)
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _drop_unneeded(model: Any, graph: Any) -> None:
    """Keep the operators that the output depends on, and of the rest only what those use."""
    needed, kept = {int(tensor) for tensor in graph.outputs}, []
    for operator in reversed(graph.operators):
        if needed.intersection(map(int, operator.outputs)):
            kept.append(operator)
            needed.update(int(tensor) for tensor in (*operator.inputs, *operator.outputs) if tensor >= 0)
    needed.update(map(int, graph.inputs))
    graph.operators = kept[::-1]
    places = {old: new for new, old in enumerate(sorted(needed))}
    for owner in (*graph.operators, graph):
        owner.inputs = [places.get(int(tensor), -1) for tensor in owner.inputs]
        owner.outputs = [places[int(tensor)] for tensor in owner.outputs]
    graph.tensors = [graph.tensors[old] for old in sorted(needed)]
    used = sorted({0, *(tensor.buffer for tensor in graph.tensors)})
    model.buffers = [model.buffers[old] for old in used]
    for tensor in graph.tensors:
        tensor.buffer = used.index(tensor.buffer)
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[old] for old in codes]
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
        operator.intermediates = None


def _quantized(
    weights: Array, bias: Array, scale_in: float, dtype: str
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int64]]:
    """Levels, scales and zero points of weights (classes, features).

    int8 has a scale for each class; uint8, as the kernels want it, one for all.
    """
    if dtype == "int8":
        least = np.abs(bias) / (_MOST_BIAS * scale_in)
        scales = np.maximum(np.maximum(np.abs(weights).max(1) / 127, least), 1e-9).astype(np.float32)
        levels = np.round(weights / scales[:, None].astype(np.float64))
        return np.clip(levels, -127, 127).astype(np.int8), scales, np.zeros(len(scales), np.int64)
    low, high = min(float(weights.min()), 0.0), max(float(weights.max()), 0.0)
    largest = float(np.abs(bias).max())
    scale = np.float32(max((high - low) / 255, largest / (_MOST_BIAS * scale_in), 1e-9))
    zero_point = round(-low / float(scale))
    levels = np.round(weights / float(scale)) + zero_point
    return np.clip(levels, 0, 255).astype(np.uint8), np.array([scale]), np.array([zero_point], np.int64)


def _is_vector(tensor: Any) -> bool:
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    return len(shape) in (2, 4) and math.prod(shape) == shape[-1] > 0


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated
    except ImportError as reason:
        raise TeachingError(
            f"Teaching edits model files, which needs ai-edge-litert ({reason}): pip install ai-edge-litert. "
            "tflite-runtime alone does not have TensorFlow Lite's schema."
        ) from reason
    return flatbuffers, schema_py_generated
