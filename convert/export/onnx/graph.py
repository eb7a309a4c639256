"""An ONNX graph in the making: operators are added one by one, each named by its output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from convert.errors import ConversionError
from edge.bundles.variant import Variant

__all__ = ["Graph"]

_OPSET: Final = 13
"""The oldest with per-channel quantization; TensorRT from 8.0 on and ONNX Runtime from 1.6 on read it, as IR 7."""
_IR_VERSION: Final = 7
_TYPES: Final = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}


class Graph:
    """One picture (1, channels, ρ, ρ) in, probabilities float32 (1, classes) out.

    Every method adds an operator and returns the name of its output, which is the name it was given.
    """

    def __init__(self, variant: Variant, classes: int, dtype: type[np.floating[Any]], *, channels: int = 3) -> None:
        self.input, self._channels = "input", channels
        self._variant, self._classes, self._dtype = variant, classes, np.dtype(dtype)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        """Weights, a bias, a scale or a limit."""
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Any operator of one output."""
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(
        self, name: str, inputs: Sequence[str], *, kernel: int, stride: int, pads: Sequence[int], groups: int
    ) -> str:
        """A square convolution of (picture, weight, bias); ``pads`` are (left, right, top, bottom)."""
        left, right, top, bottom = pads
        return self.add(
            "Conv",
            name,
            inputs,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[top, left, bottom, right],
            group=groups,
        )

    def activation(self, name: str, current: str, limits: tuple[float, float] | None, dtype: Any) -> str:
        """Clip to ``limits``, constants of ``dtype``; a plain ReLU from zero without end, nothing for None."""
        if limits is None:
            return current
        low, high = limits
        if math.isinf(high) and low == 0:
            return self.add("Relu", name, [current])
        ends = [self.constant(f"{name}/low", dtype(low))]
        if not math.isinf(high):
            ends.append(self.constant(f"{name}/high", dtype(high)))
        return self.add("Clip", name, [current, *ends])

    def cast(self, name: str, current: str, dtype: Any) -> str:
        """Turn into another float type."""
        return self.add("Cast", name, [current], to=_TYPES[np.dtype(dtype)])

    def bytes(self, logits: str) -> bytes:
        """The file's bytes, ending in the softmax of ``logits`` float32 (1, classes, 1, 1).

        Raises:
            ConversionError: ONNX's own checker refuses the graph.
        """
        flat = self.add("Flatten", "logits", [logits], axis=1)
        self.add("Softmax", "probabilities", [flat], axis=1)
        side, info = self._variant.resolution, helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            self._variant.name,
            [info(self.input, _TYPES[self._dtype], [1, self._channels, side, side])],
            [info("probabilities", TensorProto.FLOAT, [1, self._classes])],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="mobilenet-edge", ir_version=_IR_VERSION)
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as reason:
            raise ConversionError(f"The ONNX graph of {self._variant.name} is not valid: {reason}") from reason
        return bytes(model.SerializeToString(deterministic=True))
