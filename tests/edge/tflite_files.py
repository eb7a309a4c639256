"""Model files that lie: the demo's with its numbers changed, and small ones that want more than they may have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from edge.bundles.bundle import MANIFEST
from tests.edge.small_demo import FILE, write_small_demo

__all__ = ["CRAFTED", "computed_shape", "edited", "hungry", "write_bundle_around"]

Change = Callable[[Any, Any], object]


def edited(source: Path, target: Path, change: Change) -> Path:
    """A model file with ``change`` applied to its object tree; it is called with the model and the schema."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(source.read_bytes(), 0))
    change(model, schema)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def hungry(target: Path, side: int = 20_000) -> Path:
    """A file of a kilobyte that pads a picture by ``side`` on every edge: gigabytes, which no shape in it says."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def tensor(shape: tuple[int, ...], kind: int, buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.shape, made.type, made.buffer = np.array(shape, np.int32), kind, buffer
        return made

    def buffer(values: Any) -> Any:
        made = schema.BufferT()
        made.data = np.frombuffer(np.array(values, np.int32).tobytes(), np.uint8)
        return made

    graph, model, floats = schema.SubGraphT(), schema.ModelT(), schema.TensorType.FLOAT32
    graph.tensors = [
        tensor((1, 32, 32, 3), floats),
        tensor((4, 2), schema.TensorType.INT32, 1),
        tensor((1, 32, 32, 3), floats),
        tensor((2,), schema.TensorType.INT32, 2),
        tensor((1, 3), floats),
    ]
    pad, mean = schema.OperatorT(), schema.OperatorT()
    pad.opcodeIndex, pad.inputs, pad.outputs = 0, [0, 1], [2]
    pad.builtinOptionsType, pad.builtinOptions = schema.BuiltinOptions.PadOptions, schema.PadOptionsT()
    mean.opcodeIndex, mean.inputs, mean.outputs = 1, [2, 3], [4]
    mean.builtinOptionsType, mean.builtinOptions = schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT()
    codes = [schema.OperatorCodeT(), schema.OperatorCodeT()]
    for code, kind in zip(codes, (schema.BuiltinOperator.PAD, schema.BuiltinOperator.MEAN), strict=True):
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, kind, 1
    graph.inputs, graph.outputs, graph.operators = [0], [4], [pad, mean]
    model.version, model.operatorCodes, model.subgraphs = 3, codes, [graph]
    model.buffers = [schema.BufferT(), buffer([[0, 0], [side, side], [side, side], [0, 0]]), buffer([1, 2])]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def computed_shape(then: str = "") -> bytes:
    """The mean of each channel, float (1, 32, 32, 3) to (1, 3), in a shape that is computed as TensorFlow writes it.

    Args:
        then: What follows on that: an operator's name, ``RELU`` or ``NEG``, or nothing.
    """
    flatbuffers = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, model.buffers, model.operatorCodes = [], [], [schema.BufferT()], []

    def tensor(shape: tuple[int, ...], dtype: str, values: Any = None) -> int:
        made, buffer = schema.TensorT(), schema.BufferT()
        made.shape, made.type = np.array(shape, np.int32), getattr(schema.TensorType, dtype)
        if values is not None:
            buffer.data = np.frombuffer(np.array(values, np.int32).tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(name: str, inputs: list[int], output: int, options: str = "", **values: Any) -> int:
        made, code = schema.OperatorT(), schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version, made.opcodeIndex = 1, len(model.operatorCodes)
        model.operatorCodes.append(code)
        made.inputs, made.outputs = inputs, [output]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, f"{options}T")()
            vars(made.builtinOptions).update(values)
        graph.operators.append(made)
        return output

    picture, axes = tensor((1, 32, 32, 3), "FLOAT32"), tensor((2,), "INT32", [1, 2])
    mean = operator("MEAN", [picture, axes], tensor((1, 1, 1, 3), "FLOAT32"), "ReducerOptions", keepDims=True)
    sizes = operator("SHAPE", [mean], tensor((4,), "INT32"), "ShapeOptions", outType=schema.TensorType.INT32)
    first, second = tensor((1,), "INT32", [0]), tensor((1,), "INT32", [1])
    batch = operator(
        "STRIDED_SLICE", [sizes, first, second, second], tensor((), "INT32"), "StridedSliceOptions", shrinkAxisMask=1
    )
    classes = tensor((), "INT32", 3)
    shape = operator("PACK", [batch, classes], tensor((2,), "INT32"), "PackOptions", valuesCount=2)
    answer = operator("RESHAPE", [mean, shape], tensor((1, 3), "FLOAT32"))
    if then:
        answer = operator(then, [answer], tensor((1, 3), "FLOAT32"))
    graph.inputs, graph.outputs, model.version, model.subgraphs = [picture], [answer], 3, [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write_bundle_around(folder: Path, model: Path, **changes: Any) -> Path:
    """The small demo bundle with another model file, its size and SHA-256 right."""
    write_small_demo(folder, **changes)
    content, values = model.read_bytes(), json.loads((folder / MANIFEST).read_text())
    (folder / FILE).write_bytes(content)
    for artifact in values["variants"][0]["artifacts"]:
        artifact |= {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(values))
    return folder


def _tensor(which: str, name: str, value: Any) -> Change:
    """Set one value of the graph's input or output, or of the first layer's weights or bias."""

    def change(model: Any, schema: Any) -> None:
        graph = model.subgraphs[0]
        index = {
            "input": graph.inputs[0],
            "output": graph.outputs[0],
            "weights": graph.operators[0].inputs[1],
            "bias": graph.operators[0].inputs[2],
        }[which]
        tensor = graph.tensors[index]
        setattr(tensor.quantization if name in ("scale", "zeroPoint", "quantizedDimension") else tensor, name, value)

    return change


def _graph(name: str, value: Any) -> Change:
    return lambda model, schema: setattr(model.subgraphs[0], name, value)


def _first(name: str, value: Any) -> Change:
    return lambda model, schema: setattr(model.subgraphs[0].operators[0], name, value)


def _option(name: str, value: Any) -> Change:
    return lambda model, schema: setattr(model.subgraphs[0].operators[0].builtinOptions, name, value)


def _code(number: int) -> Change:
    def change(model: Any, schema: Any) -> None:
        model.operatorCodes[0].builtinCode = number
        model.operatorCodes[0].deprecatedBuiltinCode = min(number, 127)

    return change


def _many(model: Any, schema: Any) -> None:
    """A layer of 4.3e9 multiplications, 24 times: none is too much by itself, and no tensor too large."""
    graph = model.subgraphs[0]
    first = next(step for step in graph.operators if list(graph.tensors[step.inputs[1]].shape) == [64, 1, 1, 64])
    graph.tensors[graph.inputs[0]].shape, graph.operators = [1, 1024, 1024, 64], []
    for number in range(24):
        step, made = copy(first), copy(graph.tensors[graph.inputs[0]])
        taken = graph.inputs[0] if number == 0 else len(graph.tensors) - 1
        graph.tensors.append(made)
        step.inputs, step.outputs = [taken, *list(first.inputs)[1:]], [len(graph.tensors) - 1]
        graph.operators.append(step)
    graph.outputs = [len(graph.tensors) - 1]


def _reshape_by_picture(model: Any, schema: Any) -> None:
    """Let what the picture shows decide how large a tensor becomes."""
    step = next(step for step in model.subgraphs[0].operators if step.builtinOptionsType == 17)
    step.inputs = [step.inputs[0], step.inputs[0]]


def _outside(model: Any, schema: Any) -> None:
    model.buffers[3].data, model.buffers[3].offset, model.buffers[3].size = None, 2**40, 2**20


CRAFTED: Final[Mapping[str, tuple[Change, str]]] = {
    "output -1": (_graph("outputs", [-1]), "its output is tensor -1 of 90"),
    "output 9999": (_graph("outputs", [9999]), "its output is tensor 9999 of 90"),
    "input twice": (_graph("inputs", [0, 0]), "two of its inputs are the same tensor"),
    "no input": (_graph("inputs", []), "it has no input"),
    "no operators": (_graph("operators", []), "no operator computes its output"),
    "output is the input": (_graph("outputs", [0]), "no operator computes its output, tensor 0"),
    "output is a constant": (_graph("outputs", [2]), "its output is in int32: expected floats"),
    "huge input": (_tensor("input", "shape", [1, 30000, 30000, 3]), "tensor 0 takes 2574 MB, more than 64"),
    "negative input": (_tensor("input", "shape", [1, -128, 128, 3]), "tensor 0 has the shape [1, -128, 128, 3]"),
    "empty input": (_tensor("input", "shape", [1, 0, 0, 3]), "cannot be filled"),
    "text input": (_tensor("input", "type", 5), "its input is in string: expected floats"),
    "unknown type": (_tensor("input", "type", 99), "tensor 0 is of the unknown type 99"),
    "output scale 0": (_tensor("output", "scale", [0.0]), "has the scale 0.0, expected a finite one above 0"),
    "output scale nan": (_tensor("output", "scale", [float("nan")]), "has the scale nan"),
    "output scale negative": (_tensor("output", "scale", [-1.0]), "has the scale -1.0"),
    "output without scale": (_tensor("output", "quantization", None), "its output is in int8 without a scale: exp"),
    "zero point": (_tensor("output", "zeroPoint", [300]), "has a zero point outside int8's range"),
    "fewer scales": (_tensor("weights", "scale", [1.0, 1.0]), "tensor 1 has 2 scales and 8 zero points"),
    "dimension 77": (_tensor("weights", "quantizedDimension", 77), "has 8 scales for dimension 77"),
    "weights shape": (_tensor("weights", "shape", [8, 30000, 30000, 3]), "holds 216 bytes, expected 21600000000"),
    "buffer 9999": (_tensor("bias", "buffer", 9999), "tensor 2 uses buffer 9999 of 60"),
    "bias is computed later": (_tensor("bias", "buffer", 0), "takes tensor 2, which nothing has computed before"),
    "operand -2": (_first("inputs", [0, 1, -2]), "operator 0, CONV_2D, takes tensor -2 of 90"),
    "no operands": (_first("inputs", []), "operator 0, CONV_2D, takes None"),
    "no weights": (_first("inputs", [0]), "operator 0, CONV_2D, has no weights of four dimensions"),
    "no result": (_first("outputs", []), "operator 0, CONV_2D, computes nothing"),
    "overwrites its weights": (_first("outputs", [1]), "operator 0, CONV_2D, overwrites tensor 1"),
    "opcode 99": (_first("opcodeIndex", 99), "operator 0 has the code 99 of"),
    "no options": (_first("builtinOptions", None), "operator 0, CONV_2D, has no options"),
    "stride 0": (_option("strideW", 0), "has strides (2, 0)"),
    "stride -1": (_option("strideH", -1), "has strides (-1, 2)"),
    "dilation 0": (_option("dilationWFactor", 0), "dilations (1, 0)"),
    "dilation 2^30": (_option("dilationHFactor", 2**30), "with a window of 2147483649"),
    "padding 7": (_option("padding", 7), "has padding 7"),
    "activation 77": (_option("fusedActivationFunction", 77), "activation 77"),
    "while": (_code(119), "operator 0, WHILE, runs other graphs or keeps a state"),
    "custom": (_code(32), "operator 0, CUSTOM, is not one of TensorFlow Lite's own"),
    "too much": (_many, "it needs 1e+11 multiplications, more than 1e+11"),
    "shape of the picture": (_reshape_by_picture, "operator 29, RESHAPE, makes a shape of the picture's values"),
    "unknown operator": (_code(1000), "operator 0, code 1000, is unknown"),
    "no graph": (lambda model, schema: setattr(model, "subgraphs", []), "it has 0 graphs, expected one"),
    "old schema": (lambda model, schema: setattr(model, "version", 2), "its schema is version 2, expected 3"),
    "buffer outside the file": (_outside, "a buffer of 1048576 bytes at 1099511627776 lies outside the file"),
}
"""What is changed in the demo's smallest model, and what its refusal says."""
