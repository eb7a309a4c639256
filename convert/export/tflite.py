"""Emit a quantized network as a TensorFlow Lite flatbuffer, with the schema that ``ai-edge-litert`` carries.

The graph is the official converter's: convolutions with fused activation and SAME padding, MEAN as the global pool
(AVERAGE_POOL_2D executes more instructions), a 1x1 CONV_2D for each fully connected layer, RESHAPE, SOFTMAX. XNNPACK
takes all of it; so do the built-in kernels of older runtimes.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.quantization import Quantization, QuantizedLayer, QuantizedNetwork
from convert.quantization.network import PROBABILITIES
from edge.inference.metadata_writer import METADATA, ModelCard, ModelFacts, append_labels, metadata

__all__ = ["IoType", "facts", "to_tflite"]

IoType = Literal["int8", "uint8"]

_IDENTIFIER: Final = b"TFL3"
_TYPES: Final = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8, "int32": schema.TensorType.INT32}
_CAPS: Final = {
    None: schema.ActivationFunctionType.NONE,
    6.0: schema.ActivationFunctionType.RELU6,
    float("inf"): schema.ActivationFunctionType.RELU,
}
# The oldest version of each operator that has int8: older runtimes refuse newer ones.
_VERSIONS: Final = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "MEAN": 2, "SOFTMAX": 2, "PAD": 2, "QUANTIZE": 2}


def to_tflite(network: QuantizedNetwork, *, io: IoType = "int8", card: ModelCard | None = None) -> bytes:
    """The network as the bytes of a ``.tflite`` file; the same arguments give the same bytes.

    Args:
        network: What to emit.
        io: Type of the input and output. ``uint8`` takes camera bytes as they are, in the network's colour order.
        card: What the file says about itself; its labels are appended to the model.

    Raises:
        ConversionError: A layer has an activation that TensorFlow Lite cannot fuse, not every class has a label, or
            ``uint8`` is asked of a network that takes no camera bytes as they are.
    """
    card = card or ModelCard()
    if card.labels and len(card.labels) != network.classes:
        raise ConversionError(f"There are {len(card.labels)} labels for {network.classes} classes: expected as many.")
    if io == "uint8" and len(set(network.preprocessing.mean)) > 1:
        raise ConversionError(
            f"A uint8 file takes camera bytes as they are, but this network subtracts {network.preprocessing.mean}, "
            "another number in each channel: write an int8 file."
        )
    content = _Writer(network, io).bytes(metadata(facts(network, io), card))
    return append_labels(content, card.labels) if card.labels else content


def facts(network: QuantizedNetwork, io: IoType = "int8") -> ModelFacts:
    """What a file of this network says about itself."""
    variant = network.variant
    return ModelFacts(
        name=variant.name,
        description=f"MobileNet v1 (α={variant.alpha:g}, ρ={variant.resolution}) in int8",
        resolution=variant.resolution,
        classes=network.classes,
        preprocessing=network.preprocessing,
        input_dtype=io,
        output_dtype=io,
    )


class _Writer:
    """Builds the one subgraph, tensor by tensor."""

    def __init__(self, network: QuantizedNetwork, io: IoType) -> None:
        self._network, self._io = network, io
        self._buffers = [schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}

    def bytes(self, metadata: bytes) -> bytes:
        """The model, and its metadata."""
        input_index = self._graph()
        subgraph = schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = b"main", self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = [input_index], [len(self._tensors) - 1]
        model = schema.ModelT()
        model.version, model.description = 3, self._network.variant.name.encode()
        model.operatorCodes = [_operator_code(name) for name in self._codes]
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA.encode(), self._buffer(np.frombuffer(metadata, np.uint8))
        model.subgraphs, model.buffers, model.metadata = [subgraph], self._buffers, [entry]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _graph(self) -> int:
        """Add everything in order; the output is the tensor added last."""
        side, network = self._network.variant.resolution, self._network
        outside = self._io == "uint8"
        channels = network.preprocessing.channels
        first, current = (self._picture("input", side, channels, network.input, self._io),) * 2
        if outside:
            current = self._quantize(first, "input_int8", network.input, (1, side, side, channels), "int8")
        for layer in network.layers:
            if layer.pools:
                current, side = self._pool(current, layer), 1
            current, side = self._convolution(layer, current, side)
        shape = (1, network.classes)
        current = self._reshape(current, shape)
        name = "probabilities_int8" if outside else "probabilities"
        probabilities = self._activation(name, shape, PROBABILITIES, "int8")
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self._operator("SOFTMAX", [current], probabilities, "SoftmaxOptions", options)
        if outside:
            self._quantize(probabilities, "probabilities", PROBABILITIES, shape, "uint8")
        return first

    def _convolution(self, layer: QuantizedLayer, current: int, side: int) -> tuple[int, int]:
        if layer.cap not in _CAPS:
            raise ConversionError(f"Layer {layer.name} ends at {layer.cap}: TensorFlow Lite fuses ReLU6 and ReLU only.")
        current, side, padding = self._padded(layer, current, side)
        is_depthwise = layer.kind == "depthwise"
        options = schema.DepthwiseConv2DOptionsT() if is_depthwise else schema.Conv2DOptionsT()
        options.padding = padding
        options.strideH = options.strideW = layer.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _CAPS[layer.cap]
        if is_depthwise:
            options.depthMultiplier = 1
        inputs = [current, *self._parameters(layer)]
        side = -(-side // layer.stride) if padding == schema.Padding.SAME else (side - 3) // layer.stride + 1
        output = self._picture(layer.name, side, len(layer.bias), layer.output, "int8")
        kind = "DEPTHWISE_CONV_2D" if is_depthwise else "CONV_2D"
        self._operator(kind, inputs, output, type(options).__name__.removesuffix("T"), options)
        return output, side

    def _padded(self, layer: QuantizedLayer, current: int, side: int) -> tuple[int, int, int]:
        """SAME where it means what the layer needs, else an explicit PAD before a VALID convolution."""
        kernel = layer.weight.shape[-1]
        total = max(0, (-(-side // layer.stride) - 1) * layer.stride + kernel - side)
        if layer.pads == (total // 2, total - total // 2) * 2:
            return current, side, schema.Padding.SAME
        left, right, top, bottom = layer.pads
        amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        inputs = [current, self._constant(f"{layer.name}/pads", amounts, None)]
        channels = self._tensors[current].shape[-1]
        padded = self._picture(f"{layer.name}/padded", side + left + right, int(channels), layer.input, "int8")
        self._operator("PAD", inputs, padded, "PadOptions", schema.PadOptionsT())
        return padded, side + left + right, schema.Padding.VALID

    def _parameters(self, layer: QuantizedLayer) -> tuple[int, int]:
        is_depthwise = layer.kind == "depthwise"
        weight = layer.weight.transpose((1, 2, 3, 0) if is_depthwise else (0, 2, 3, 1))
        axis = 3 if is_depthwise else 0
        scales = layer.weight_scales
        bias_scales = (scales.astype(np.float64) * layer.input.scale).astype(np.float32)
        return (
            self._constant(f"{layer.name}/weight", weight, _per_channel(scales, axis)),
            self._constant(f"{layer.name}/bias", layer.bias, _per_channel(bias_scales, 0)),
        )

    def _pool(self, current: int, layer: QuantizedLayer) -> int:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        axes = self._constant("axes", np.array([1, 2], np.int32), None)
        pooled = self._picture("pool", 1, layer.weight.shape[1], layer.input, "int8")
        self._operator("MEAN", [current, axes], pooled, "ReducerOptions", options)
        return pooled

    def _reshape(self, current: int, shape: tuple[int, ...]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        wanted = self._constant("shape", np.array(shape, np.int32), None)
        logits = self._activation("logits", shape, self._network.logits, "int8")
        self._operator("RESHAPE", [current, wanted], logits, "ReshapeOptions", options)
        return logits

    def _quantize(self, current: int, name: str, quantization: Quantization, shape: tuple[int, ...], to: IoType) -> int:
        """Shift between int8 and uint8: the same reals, 128 levels apart."""
        output = self._activation(name, shape, quantization, to)
        self._operator("QUANTIZE", [current], output, "QuantizeOptions", schema.QuantizeOptionsT())
        return output

    def _picture(self, name: str, side: int, channels: int, quantization: Quantization, dtype: IoType) -> int:
        return self._activation(name, (1, side, side, channels), quantization, dtype)

    def _activation(self, name: str, shape: tuple[int, ...], quantization: Quantization, dtype: IoType) -> int:
        parameters = schema.QuantizationParametersT()
        parameters.scale = np.array([quantization.scale], np.float32)
        parameters.zeroPoint = np.array([quantization.zero_point + (128 if dtype == "uint8" else 0)], np.int64)
        return self._tensor(name, shape, dtype, buffer=0, quantization=parameters)

    def _constant(self, name: str, values: NDArray[Any], quantization: Any) -> int:
        return self._tensor(name, values.shape, values.dtype.name, self._buffer(values), quantization)

    def _buffer(self, values: NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(buffer)
        return len(self._buffers) - 1

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str, buffer: int, quantization: Any) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), np.array(shape, np.int32), _TYPES[dtype]
        tensor.buffer, tensor.quantization = buffer, quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _operator(self, code: str, inputs: list[int], output: int, options_type: str, options: Any) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_type)
        operator.builtinOptions = options
        self._operators.append(operator)


def _operator_code(name: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = _VERSIONS.get(name, 1)
    return code


def _per_channel(scales: NDArray[np.float32], axis: int) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = scales, np.zeros(len(scales), np.int64)
    parameters.quantizedDimension = axis
    return parameters
