"""Whether the numbers in a ``.tflite`` file fit together: indices, shapes, types, scales, operators and their options.

The runtime trusts most of them: an output of index −1 frees memory that is not its own. This is read before the runtime
sees the file, and costs a few milliseconds. Field numbers are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import BackendError, os_reason
from edge.inference.flatbuffer import MalformedError, Table
from edge.inference.tflite_operators import LayerError, check_layer, operator_name, shape_operands, tells_shape_alone

__all__ = ["check_structure"]

_MAGIC: Final = b"TFL3"
_MOST_TENSORS: Final = 20_000
_MOST_DIMENSIONS: Final = 8
_MOST_TENSOR_BYTES: Final = 64 << 20
"""Sixteen times the largest of a MobileNet at 224 pixels in float32; constants are in the file anyway."""
_MOST_MULT_ADDS: Final = 100_000_000_000
"""A hundred and seventy times a MobileNet 1.0 at 224 pixels: what would seem to hang."""
_WIDTHS: Final = {
    "float32": 4, "float16": 2, "int32": 4, "uint8": 1, "int64": 8, "string": 0, "bool": 1, "int16": 2,
    "complex64": 8, "int8": 1, "float64": 8, "complex128": 16, "uint64": 8, "resource": 4, "variant": 4, "uint32": 4,
    "uint16": 2, "int4": 0, "bfloat16": 2, "int2": 0, "uint4": 0,
}  # fmt: skip
"""Types by their number in the schema, with their width in bytes; 0 where it is not a whole number of them."""
_TYPES: Final = tuple(_WIDTHS)
_ZERO_POINTS: Final = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_ENDS: Final = ("float32", "float16", "int8", "uint8")
"""Types of a picture and of probabilities."""
# Fields by their place in the schema's tables.
_VERSION, _CODES, _SUBGRAPHS, _BUFFERS = 0, 1, 2, 4
_OLD_CODE, _CUSTOM_CODE, _CODE = 0, 1, 3
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_SHAPE, _TYPE, _BUFFER, _QUANTIZATION, _IS_VARIABLE, _SPARSITY = 0, 1, 2, 4, 5, 6
_SCALE, _ZERO_POINT, _QUANTIZED_DIMENSION = 2, 3, 6
_BUFFER_DATA, _BUFFER_OFFSET, _BUFFER_SIZE = 0, 1, 2
_OPCODE_INDEX, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPTIONS_TYPE, _OPTIONS = 0, 1, 2, 3, 4


_EDGE_TPU: Final = b"edgetpu-custom-op"


class _CompiledError(ValueError):
    """The file is for another processor."""


class _OtherEndsError(ValueError):
    """The file is sound, but its pictures or answers are of another type, as the middle of a sentence."""


class _StructureError(ValueError):
    """What does not fit, as the middle of a sentence."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    dtype: str
    has_scale: bool
    is_ready: bool
    """Whether it has a value before the first operator runs: a constant, or a variable."""


@dataclass(slots=True)
class _Flow:
    """What is known of the graph up to a step."""

    ready: set[int]
    """Tensors that have a value."""
    seen: set[int]
    """Those whose value depends on the picture's."""
    mult_adds: int = 0


def check_structure(path: Path, *, for_device: bool = True) -> None:
    """Refuse a ``.tflite`` file whose numbers do not fit together.

    Args:
        path: The file.
        for_device: Whether it is to run here as it is, with an input and an output of types that this package fills.

    Raises:
        BackendError: They do not, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] != _MAGIC:
                raise _StructureError("bytes 4 to 8 are not TFL3")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                _check_model(content, for_device)
    except OSError as reason:
        raise BackendError(f"Cannot read {path}: {os_reason(reason)}.") from reason
    except _CompiledError as reason:
        raise BackendError(
            f"{path} is compiled for an Edge TPU, which alone can run it: use the .tflite file that edgetpu_compiler "
            "was given."
        ) from reason
    except _OtherEndsError as reason:
        raise BackendError(f"{path} cannot run as it is: {reason}.") from reason
    except (_StructureError, LayerError, MalformedError) as reason:
        raise BackendError(f"{path} is not a valid TensorFlow Lite model: {reason}.") from reason


def _check_model(content: mmap.mmap, for_device: bool) -> None:
    model = Table.root(content)
    if (version := model.number(_VERSION, code="I")) != 3:
        raise _StructureError(f"its schema is version {version}, expected 3")
    buffers = [_buffer_bytes(buffer, len(content)) for buffer in model.tables(_BUFFERS)]
    if any(code.data(_CUSTOM_CODE) == _EDGE_TPU for code in model.tables(_CODES)):
        raise _CompiledError
    codes = [max(code.number(_OLD_CODE, code="b"), code.number(_CODE)) for code in model.tables(_CODES)]
    graphs = list(model.tables(_SUBGRAPHS))
    if len(graphs) != 1:
        raise _StructureError(f"it has {len(graphs)} graphs, expected one")
    _check_graph(graphs[0], buffers, codes, for_device)


def _buffer_bytes(buffer: Table, file_bytes: int) -> int | None:
    """How many bytes a buffer holds; None for one that is absent."""
    offset, size = buffer.number(_BUFFER_OFFSET, code="Q"), buffer.number(_BUFFER_SIZE, code="Q")
    if offset > 1:
        if offset + size > file_bytes:
            raise _StructureError(f"a buffer of {size} bytes at {offset} lies outside the file")
        return size
    return buffer.length(_BUFFER_DATA) or None


def _check_graph(graph: Table, buffers: Sequence[int | None], codes: Sequence[int], for_device: bool) -> None:
    tensors = [_tensor(number, tensor, buffers) for number, tensor in enumerate(graph.tables(_TENSORS))]
    if not 0 < len(tensors) <= _MOST_TENSORS:
        raise _StructureError(f"it has {len(tensors)} tensors, expected 1 to {_MOST_TENSORS}")
    inputs, outputs = graph.numbers(_INPUTS), graph.numbers(_OUTPUTS)
    for what, indices in (("input", inputs), ("output", outputs)):
        if not indices:
            raise _StructureError(f"it has no {what}")
        for index in indices:
            if not 0 <= index < len(tensors):
                raise _StructureError(f"its {what} is tensor {index} of {len(tensors)}")
        if len(set(indices)) != len(indices):
            raise _StructureError(f"two of its {what}s are the same tensor")
    if for_device:
        _check_ends(tensors, inputs, outputs)
    for index in inputs:
        if tensors[index].is_ready or not tensors[index].shape or 0 in tensors[index].shape:
            raise _StructureError(f"its input, tensor {index} of shape {list(tensors[index].shape)}, cannot be filled")
    flow = _Flow({index for index, tensor in enumerate(tensors) if tensor.is_ready} | set(inputs), set(inputs))
    for number, operator in enumerate(graph.tables(_OPERATORS)):
        _check_operator(number, operator, tensors, codes, flow)
    if flow.mult_adds > _MOST_MULT_ADDS:
        raise _StructureError(f"it needs {flow.mult_adds:.0e} multiplications, more than {_MOST_MULT_ADDS:.0e}")
    for index in outputs:
        if tensors[index].is_ready or index in inputs or index not in flow.ready:
            raise _StructureError(f"no operator computes its output, tensor {index}")


def _check_ends(tensors: Sequence[_Tensor], inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """Refuse pictures and answers in types that this package neither fills nor reads."""
    for what, index in (*(("input", index) for index in inputs), *(("output", index) for index in outputs)):
        tensor = tensors[index]
        if tensor.dtype not in _ENDS or (tensor.dtype in _ZERO_POINTS and not tensor.has_scale):
            bare = " without a scale" if tensor.dtype in _ENDS else ""
            raise _OtherEndsError(
                f"its {what} is in {tensor.dtype}{bare}: expected floats, or int8 or uint8 with a scale. If its "
                "weights are floats, make such a file of it: edge-convert bundle"
            )


def _tensor(number: int, tensor: Table, buffers: Sequence[int | None]) -> _Tensor:
    shape, kind, buffer = tensor.numbers(_SHAPE), tensor.number(_TYPE, code="b"), tensor.number(_BUFFER, code="I")
    name = f"tensor {number}"
    if not 0 <= kind < len(_TYPES):
        raise _StructureError(f"{name} is of the unknown type {kind}")
    if len(shape) > _MOST_DIMENSIONS or any(n < 0 for n in shape):
        raise _StructureError(f"{name} has the shape {list(shape)[:9]}")
    if buffer >= len(buffers) and buffer:
        raise _StructureError(f"{name} uses buffer {buffer} of {len(buffers)}")
    held = buffers[buffer] if buffers else None
    dtype, is_dense = _TYPES[kind], tensor.table(_SPARSITY) is None
    expected = math.prod(shape) * _WIDTHS[dtype]
    if held is None and expected > _MOST_TENSOR_BYTES:
        raise _StructureError(f"{name} takes {expected >> 20} MB, more than {_MOST_TENSOR_BYTES >> 20}")
    if held is not None and is_dense and _WIDTHS[dtype] and held != expected:
        raise _StructureError(f"{name} of shape {list(shape)} in {dtype} holds {held} bytes, expected {expected}")
    quantization = tensor.table(_QUANTIZATION)
    has_scale = quantization is not None and _check_quantization(name, dtype, shape, quantization)
    return _Tensor(shape, dtype, has_scale, held is not None or bool(tensor.number(_IS_VARIABLE, code="b")))


def _check_quantization(name: str, dtype: str, shape: tuple[int, ...], values: Table) -> bool:
    """Whether it has scales, all of which can be used."""
    scales, zero_points = values.numbers(_SCALE, "f"), values.numbers(_ZERO_POINT, "q")
    if not scales:
        return False
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        bad = next(scale for scale in scales if not (math.isfinite(scale) and scale > 0))
        raise _StructureError(f"{name} has the scale {bad}, expected a finite one above 0")
    if len(zero_points) not in {0, 1, len(scales)}:
        raise _StructureError(f"{name} has {len(scales)} scales and {len(zero_points)} zero points")
    least, most = _ZERO_POINTS.get(dtype, (-(2**31), 2**31 - 1))
    if not all(least <= zero_point <= most for zero_point in zero_points):
        raise _StructureError(f"{name} has a zero point outside {dtype}'s range")
    dimension = values.number(_QUANTIZED_DIMENSION)
    if len(scales) > 1 and not (0 <= dimension < len(shape) and shape[dimension] == len(scales)):
        raise _StructureError(f"{name} of shape {list(shape)} has {len(scales)} scales for dimension {dimension}")
    return True


def _check_operator(
    number: int, operator: Table, tensors: Sequence[_Tensor], codes: Sequence[int], flow: _Flow
) -> None:
    """Check one step, and add what it computes to what is known."""
    index = operator.number(_OPCODE_INDEX, code="I")
    if index >= len(codes):
        raise _StructureError(f"operator {number} has the code {index} of {len(codes)}")
    name = f"operator {number}, {operator_name(codes[index])},"
    inputs, outputs = operator.numbers(_OPERATOR_INPUTS), operator.numbers(_OPERATOR_OUTPUTS)
    if not outputs:
        raise _StructureError(f"{name} computes nothing")
    for tensor in inputs:
        if tensor != -1 and not 0 <= tensor < len(tensors):
            raise _StructureError(f"{name} takes tensor {tensor} of {len(tensors)}")
        if tensor != -1 and tensor not in flow.ready:
            raise _StructureError(f"{name} takes tensor {tensor}, which nothing has computed before")
    for tensor in outputs:
        if not 0 <= tensor < len(tensors):
            raise _StructureError(f"{name} computes tensor {tensor} of {len(tensors)}")
        if tensor in flow.ready:
            raise _StructureError(f"{name} overwrites tensor {tensor}")
    for place in shape_operands(codes[index]):
        if place < len(inputs) and inputs[place] in flow.seen:
            raise _StructureError(f"{name} makes a shape of the picture's values, so its cost has no bound")
    flow.mult_adds += check_layer(
        name,
        codes[index],
        [tensors[tensor].shape if tensor >= 0 else None for tensor in inputs],
        tensors[outputs[0]].shape,
        operator.number(_OPTIONS_TYPE, code="B"),
        operator.table(_OPTIONS),
    )
    flow.ready.update(outputs)
    if not tells_shape_alone(codes[index]) and not flow.seen.isdisjoint(inputs):
        flow.seen.update(outputs)
