"""ONNX operators as the layers of a network, with the weights that a graph gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from convert.checkpoints.graph import Node, affine, padding
from convert.checkpoints.network import (
    ActivationLayer,
    Array,
    BestClass,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Norm,
    Pool,
)
from convert.checkpoints.onnx_steps import axes_of
from convert.errors import CheckpointError

__all__ = ["layers_of", "turns"]

_Node = Node[str]
_AFFINE: Final = {"Mul": "mul", "Add": "add", "Sub": "sub", "Div": "div"}
_SKIPPED: Final = ("Identity", "Dropout", "Cast")
_FLAT: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_FUNCTIONS: Final = {
    "Relu": "relu",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Sigmoid": "sigmoid",
    "Log": "log",
}
_MAXIMA: Final = ("GlobalMaxPool", "MaxPool", "ReduceMax")
_TO_FIRST, _TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def turns(node: _Node) -> bool:
    """Whether an operator puts the channels last where they were first, or first where they were last."""
    return node.kind == "Transpose" and node.attributes.get("perm") in (_TO_FIRST, _TO_LAST)


def layers_of(path: Path, node: _Node, taken: str, constants: Mapping[str, Array], is_last: bool) -> Iterator[Layer]:
    """An operator as layers; none if it does nothing to the answer.

    Args:
        path: For messages.
        node: The operator.
        taken: The tensor that it takes from the one before.
        constants: The graph's arrays by name.
        is_last: Whether the channels are the last dimension.

    Raises:
        CheckpointError: A MobileNet v1 has none such.
    """
    kind, name, given = node.kind, node.name, node.attributes
    if kind in _SKIPPED or turns(node):
        return
    if kind == "Conv":
        yield _convolution(path, node, constants)
    elif kind == "BatchNormalization":
        gamma, beta, mean, variance = (_constant(path, node, constants, n) for n in range(1, 5))
        eps = float(given.get("epsilon", 1e-5))
        yield Norm(name=name, gamma=gamma, beta=beta, mean=mean, variance=variance, eps=eps)
    elif kind == "Clip":
        yield ActivationLayer(name=name, function=_clip(node, constants))
    elif kind == "Max" and any(name in constants and not np.any(constants[name]) for name in node.inputs):
        yield ActivationLayer(name=name, function="relu")
    elif kind in _FUNCTIONS:
        if "oftmax" in kind and given.get("axis") == 0:
            raise CheckpointError(f"{path}: operator '{name}' ({kind}) is over a batch of pictures: expected classes.")
        yield ActivationLayer(name=name, function=_FUNCTIONS[kind])
    elif kind in _AFFINE:
        other = next((constants[tensor] for tensor in node.inputs if tensor in constants), None)
        yield affine(path, node, _AFFINE[kind], other, is_first=node.inputs[0] == taken)
    elif kind == "Pad":
        yield _padding(path, node, constants, is_last)
    elif kind in _MAXIMA:
        yield Pool(name=name, is_maximum=True)
    elif kind == "GlobalAveragePool" or (
        kind == "ReduceMean" and axes_of(node, constants) == ([1, 2] if is_last else [2, 3])
    ):
        yield Pool(name=name)
    elif kind == "AveragePool" and len(set(given["kernel_shape"])) == 1 and not any(given.get("pads", ())):
        yield Pool(name=name, side=int(given["kernel_shape"][0]))
    elif kind in _FLAT:
        yield Flatten(name=name)
    elif kind in ("Gemm", "MatMul"):
        yield _dense(path, node, constants)
    elif kind.startswith("com.microsoft."):
        raise CheckpointError(
            f"{path}: operator '{name}' is a {kind}, as ONNX Runtime writes where it optimizes a model for a machine: "
            "use the file that this was made from."
        )
    elif kind == "ArgMax" and given.get("axis", 0) != 0:
        yield BestClass(name=name)
    elif kind in ("ArgMax", "TopK"):
        raise CheckpointError(
            f"{path}: operator '{name}' ({kind}) leaves some of the answers: export the network without it, so that it "
            "answers with one number for each class."
        )
    else:
        raise CheckpointError(
            f"{path}: operator '{name}' is a {kind}: MobileNet v1 has none such there. This is another architecture."
        )


def _convolution(path: Path, node: _Node, constants: Mapping[str, Array]) -> Convolution:
    weight, given = _constant(path, node, constants, 1).astype(np.float32), node.attributes
    groups, strides, dilations = given.get("group", 1), given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    automatic = given.get("auto_pad", b"NOTSET").decode()
    is_depthwise = groups > 1 and weight.shape[1] == 1
    if weight.ndim != 4 or len(set(strides)) != 1 or set(dilations) != {1} or (groups > 1 and not is_depthwise):
        raise CheckpointError(
            f"{path}: convolution '{node.name}' has weights {weight.shape}, strides {strides}, dilations {dilations} "
            f"and {groups} groups: MobileNet v1 has none such."
        )
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if automatic == "SAME_LOWER" and strides[0] > 1:
        raise CheckpointError(f"{path}: convolution '{node.name}' pads as SAME_LOWER: expected SAME_UPPER or numbers.")
    bias = _constant(path, node, constants, 2) if len(node.inputs) > 2 and node.inputs[2] else None
    return Convolution(
        name=node.name,
        weight=weight,
        bias=bias,
        stride=int(strides[0]),
        pads=None if automatic.startswith("SAME") else (left, right, top, bottom),
        is_depthwise=is_depthwise,
    )


def _dense(path: Path, node: _Node, constants: Mapping[str, Array]) -> Dense:
    weight, given = _constant(path, node, constants, 1), node.attributes
    if weight.ndim != 2 or given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        raise CheckpointError(f"{path}: operator '{node.name}' ({node.kind}) is not a fully connected layer.")
    bias = _constant(path, node, constants, 2) if len(node.inputs) > 2 and node.inputs[2] else None
    return Dense(name=node.name, weight=weight if given.get("transB", 0) else weight.T, bias=bias)


def _constant(path: Path, node: _Node, constants: Mapping[str, Array], number: int) -> Array:
    name = node.inputs[number] if number < len(node.inputs) else ""
    if name not in constants:
        raise CheckpointError(
            f"{path}: operator '{node.name}' ({node.kind}) takes weights that are computed or missing ('{name}'): "
            "export the model with constant folding."
        )
    return np.asarray(constants[name], np.float32)


def _clip(node: _Node, constants: Mapping[str, Array]) -> str:
    ends = [*(constants.get(name) for name in node.inputs[1:3]), None, None]
    limits = node.attributes.get("min", -np.inf), node.attributes.get("max", np.inf)
    low, high = (float(given if end is None else end) for end, given in zip(ends, limits, strict=False))
    if low != 0:
        return f"a clip from {low:g} to {high:g}"
    return "relu6" if high == 6 else "relu" if high > 1e30 else f"a clip from 0 to {high:g}"


def _padding(path: Path, node: _Node, constants: Mapping[str, Array], is_last: bool) -> Layer:
    numbers = node.attributes.get("pads") or _constant(path, node, constants, 1).tolist()
    mode = node.attributes.get("mode", b"constant")
    value = constants.get(node.inputs[2], np.zeros(1)) if len(node.inputs) > 2 else np.zeros(1)
    if len(numbers) != 8 or mode != b"constant" or np.any(value):
        raise CheckpointError(f"{path}: operator '{node.name}' pads with something else than zeros.")
    before, after = [int(n) for n in numbers[:4]], [int(n) for n in numbers[4:]]
    axis = 1 if is_last else 2
    rows, columns = ((before[n], after[n]) for n in (axis, axis + 1))
    return padding(path, node, rows, columns, sum(map(abs, before + after)) - sum(rows) - sum(columns))
