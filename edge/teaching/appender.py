"""Operators and tensors added to a ``.tflite`` model: what a classifier consists of, in int8, uint8 or float."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.teaching.head import Array

__all__ = ["Appender"]

_VERSIONS: Final = {("CONV_2D", "int8"): 3, ("SOFTMAX", "int8"): 2, ("QUANTIZE", "int8"): 2, ("DEQUANTIZE", "int8"): 2}
"""The oldest version of an operator that has the type; 1 where none is named."""
_PROBABILITY_SCALE: Final = 1 / 256
_MOST_BIAS: Final = 2.0**30


class Appender:
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
        output = self._probabilities("probabilities", count, self._dtype)
        return self._operator("SOFTMAX", [current], output, "SoftmaxOptions", options)

    def as_type(self, current: int, count: int, dtype: str) -> int:
        """The same probabilities in another type."""
        if dtype == self._dtype:
            return current
        output = self._probabilities(f"probabilities_{dtype}", count, dtype)
        name = "DEQUANTIZE" if dtype == "float32" else "QUANTIZE"
        options = getattr(self._schema, f"{name.title()}OptionsT")()
        return self._operator(name, [current], output, f"{name.title()}Options", options)

    def _probabilities(self, name: str, count: int, dtype: str) -> int:
        zero_point = -128 if dtype == "int8" else 0
        return self._activation(name, (1, count), _PROBABILITY_SCALE, zero_point, dtype)

    def _activation(
        self, name: str, shape: tuple[int, ...], scale: float, zero_point: int, dtype: str | None = None
    ) -> int:
        dtype = dtype or self._dtype
        scales = None if dtype == "float32" else np.array([scale], np.float32)
        return self._tensor(name, shape, dtype, 0, scales, np.array([zero_point], np.int64))

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
