"""The operators of a ``.tflite`` file: their names, and whether a layer's options and shapes fit together.

Codes and field numbers are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edge.inference.flatbuffer import Table

__all__ = ["LayerError", "check_layer", "operator_name", "shape_operands", "tells_shape_alone"]

_AVERAGE_POOL, _CONV, _DEPTHWISE, _DENSE, _L2_POOL, _MAX_POOL = 1, 3, 4, 9, 12, 17
_CUSTOM: Final = 32
_NAMES: Final = {
    _AVERAGE_POOL: "AVERAGE_POOL_2D", _CONV: "CONV_2D", _DEPTHWISE: "DEPTHWISE_CONV_2D", _DENSE: "FULLY_CONNECTED",
    _L2_POOL: "L2_POOL_2D", _MAX_POOL: "MAX_POOL_2D", 0: "ADD", 2: "CONCATENATION", 6: "DEQUANTIZE", 14: "LOGISTIC",
    18: "MUL", 22: "RESHAPE", 25: "SOFTMAX", _CUSTOM: "CUSTOM", 34: "PAD", 40: "MEAN", 41: "SUB", 43: "SQUEEZE",
    114: "QUANTIZE",
}  # fmt: skip
_REFUSED: Final = {
    31: "CALL", 51: "DELEGATE", 118: "IF", 119: "WHILE", 127: "a placeholder",
    129: "CALL_ONCE", 136: "HASHTABLE", 137: "HASHTABLE_FIND", 138: "HASHTABLE_IMPORT", 139: "HASHTABLE_SIZE",
    142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE", 173: "STABLEHLO_CUSTOM_CALL",
    174: "STABLEHLO_REDUCE", 190: "STABLEHLO_SCATTER", 198: "STABLEHLO_REDUCE_WINDOW", 199: "STABLEHLO_SORT",
    200: "STABLEHLO_WHILE", 206: "STABLEHLO_COMPOSITE", 209: "STABLEHLO_CASE",
}  # fmt: skip
"""What runs other graphs or keeps a state: a classifier of single pictures needs none."""
_MOST_CODE: Final = 209
_SHAPE, _RANK = 77, 110
_SHAPE_OPERANDS: Final = {
    22: (1,), 23: (1,), 33: (3,), 34: (1,), 37: (1, 2), 38: (1, 2), 39: (1,), 40: (1,), 45: (1, 2, 3), 48: (1,),
    49: (0,), 56: (1,), 60: (1,), 65: (1, 2), 67: (0,), 68: (1,), 69: (1,), 70: (1,), 74: (1,), 79: (1,), 81: (1,),
    82: (1,), 85: (1,), 89: (1,), 91: (1,), 94: (0,), 96: (0, 1, 2), 97: (1,), 100: (1,), 102: (1, 2), 103: (0,),
    109: (0,), 120: (0, 1, 2, 3, 4), 121: (0, 1, 2, 3, 4, 5), 122: (2,), 125: (1,), 130: (1,), 131: (1,), 140: (1,),
    141: (0,), 146: (0,), 148: (0,), 149: (1,), 153: (2,), 154: (2,), 155: (2,), 157: (2,), 203: (1,), 205: (2, 3, 4),
}  # fmt: skip
"""Inputs whose values decide how large an operator's output is: a shape, paddings, axes, a number of repeats."""
_SAME, _VALID = 0, 1
_MOST_ACTIVATION: Final = 5
# Fields of Conv2DOptions (union type 1), DepthwiseConv2DOptions (2) and Pool2DOptions (5): padding and strides first.
_OPTIONS_TYPES: Final = {_CONV: 1, _DEPTHWISE: 2, _AVERAGE_POOL: 5, _L2_POOL: 5, _MAX_POOL: 5}
_PADDING, _STRIDE_W, _STRIDE_H = 0, 1, 2
_ACTIVATIONS: Final = {1: 3, 2: 4, 5: 5}
_DILATIONS: Final = {1: (4, 5), 2: (5, 6)}
"""Of width and height."""
_POOL_SIDES: Final = (3, 4)

Shape = tuple[int, ...]


class LayerError(ValueError):
    """What does not fit, as the middle of a sentence."""


def operator_name(code: int) -> str:
    """TensorFlow Lite's name of an operator where it is a common one, else its number."""
    return _NAMES.get(code) or _REFUSED.get(code) or f"code {code}"


def shape_operands(code: int) -> tuple[int, ...]:
    """Which inputs of an operator decide, by their values, how large its output is."""
    return _SHAPE_OPERANDS.get(code, ())


def tells_shape_alone(code: int) -> bool:
    """Whether an operator's output depends on the shape of its input, not on the values in it."""
    return code in (_SHAPE, _RANK)


def check_layer(
    name: str, code: int, inputs: Sequence[Shape | None], output: Shape, options_type: int, options: Table | None
) -> int:
    """Refuse operators that a classifier does not need, and layers whose options or shapes do not fit together.

    Args:
        name: What to call the operator in a message.
        code: Which operator it is.
        inputs: The shapes of its inputs; None for one that is left out.
        output: The shape of its first output.
        options_type: Which table of the schema its options are.
        options: Its options, if it has some.

    Returns:
        How many multiplications it takes, or how many values it moves.

    Raises:
        LayerError: Something does not fit.
    """
    if code == _CUSTOM:
        raise LayerError(f"{name} is not one of TensorFlow Lite's own: expected a classifier, which needs no other")
    if code in _REFUSED:
        raise LayerError(f"{name} runs other graphs or keeps a state: expected layers alone")
    if not 0 <= code <= _MOST_CODE:
        raise LayerError(f"{name} is unknown")
    if code in _OPTIONS_TYPES:
        if options is None or options_type != _OPTIONS_TYPES[code]:
            raise LayerError(f"{name} has no options")
        return _check_window(name, code, inputs, output, options_type, options)
    if code == _DENSE:
        weight = inputs[1] if len(inputs) > 1 else None
        if weight is None or len(weight) != 2:
            raise LayerError(f"{name} has no matrix of weights")
        _check_bias(name, inputs, weight[0])
        return math.prod(output) * weight[1]
    return max(math.prod(shape) for shape in (output, *inputs) if shape is not None)


def _check_window(
    name: str, code: int, inputs: Sequence[Shape | None], output: Shape, kind: int, options: Table
) -> int:
    """A layer that moves a window over a picture; how many multiplications it takes."""
    picture = inputs[0] if inputs else None
    if picture is None or len(picture) != 4 or len(output) != 4 or 0 in picture:
        raise LayerError(f"{name} takes {picture} and gives {output}: expected four dimensions")
    strides = options.number(_STRIDE_H), options.number(_STRIDE_W)
    padding = options.number(_PADDING, code="b")
    activation = options.number(_ACTIVATIONS[kind], code="b")
    if padding not in (_SAME, _VALID) or not 0 <= activation <= _MOST_ACTIVATION:
        raise LayerError(f"{name} has padding {padding} and activation {activation}: they are unknown")
    if kind in _DILATIONS:
        window, dilations = _weights(name, code, inputs, picture, output), _dilations(options, kind)
    else:
        window, dilations = (options.number(_POOL_SIDES[1]), options.number(_POOL_SIDES[0])), (1, 1)
        if output[3] != picture[3]:
            raise LayerError(f"{name} makes {output[3]} channels of {picture[3]}")
    if min(strides) < 1 or min(window) < 1 or min(dilations) < 1:
        raise LayerError(f"{name} has strides {strides}, a window {window}, dilations {dilations}: expected 1 or more")
    for side, given, stride, width, dilation in zip(picture[1:3], output[1:3], strides, window, dilations, strict=True):
        span = (width - 1) * dilation + 1
        room = side if padding == _SAME else side - span + 1
        if span > side + width * 64 or room < 1 or given != -(-room // stride):
            raise LayerError(f"{name} makes {given} places of {side} with a window of {span} and stride {stride}")
    if output[0] != picture[0]:
        raise LayerError(f"{name} makes {output[0]} pictures of {picture[0]}")
    return math.prod(output) * math.prod(window) * (picture[3] if code == _CONV else 1)


def _dilations(options: Table, kind: int) -> tuple[int, int]:
    width, height = _DILATIONS[kind]
    return options.number(height, 1), options.number(width, 1)


def _weights(name: str, code: int, inputs: Sequence[Shape | None], picture: Shape, output: Shape) -> tuple[int, int]:
    """The window of a convolution, from its weights: (filters, height, width, channels)."""
    weight = inputs[1] if len(inputs) > 1 else None
    if weight is None or len(weight) != 4 or 0 in weight:
        raise LayerError(f"{name} has no weights of four dimensions")
    if code == _CONV:
        fits = picture[3] % weight[3] == 0 and weight[0] == output[3]
        filters = weight[0]
    else:
        fits = weight[0] == 1 and weight[3] == output[3] and weight[3] % picture[3] == 0
        filters = weight[3]
    if not fits:
        raise LayerError(f"{name} takes {list(picture)}, weights {list(weight)} and gives {list(output)}")
    _check_bias(name, inputs, filters)
    return weight[1], weight[2]


def _check_bias(name: str, inputs: Sequence[Shape | None], filters: int) -> None:
    bias = inputs[2] if len(inputs) > 2 else None
    if bias is not None and math.prod(bias) != filters:
        raise LayerError(f"{name} has {math.prod(bias)} biases for {filters} filters")
