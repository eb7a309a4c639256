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

from edge.errors import TeachingError
from edge.inference.metadata_writer import METADATA, ModelCard, ModelFacts, append_labels, metadata
from edge.teaching.appender import Appender
from edge.teaching.head import Head

__all__ = ["Backbone"]

_IDENTIFIER: Final = b"TFL3"
_LAYERS: Final = ("CONV_2D", "FULLY_CONNECTED")
_PASSED_OVER: Final = ("SOFTMAX", "RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE", "RELU", "RELU6", "DELEGATE")


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
        self.output_dtype = self._output_dtype(model)
        """That of the answers: the file's own, so that who takes the one takes the other."""
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

    def _output_dtype(self, model: Any) -> str:
        types = self._schema.TensorType
        own = model.subgraphs[0].tensors[int(model.subgraphs[0].outputs[0])].type
        named = {types.INT8: "int8", types.UINT8: "uint8", types.FLOAT32: "float32"}.get(own)
        return self.dtype if named is None or self.dtype == "float32" else named

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
        writer = Appender(self._schema, model, self.dtype)
        if len(model.subgraphs[0].tensors[current].shape) != 4:
            current = writer.reshape(current, (1, 1, 1, self.width), "features", self._scale, self._zero_point)
        low, high = min(head.logits_range[0], 0.0), max(head.logits_range[1], 0.0)
        scale, zero_point = writer.range_of(low, high)
        current = writer.convolution(current, head.weights, head.bias, self._scale, scale, zero_point)
        current = writer.reshape(current, (1, count), "logits", scale, zero_point)
        model.subgraphs[0].outputs = [writer.as_type(writer.softmax(current, count), count, self.output_dtype)]

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
