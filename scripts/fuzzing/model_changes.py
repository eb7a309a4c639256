"""What is changed in a good model: the numbers that the runtime trusts, one to six of them, or the bytes themselves."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from scripts.fuzzing.small_models import packed, small_models, unpacked

__all__ = ["model_file"]

_NUMBERS: Final = (0, -1, 1, 2, 3, 5, 7, 16, 99, 127, 255, 256, 1000, 65535, 65536, 2**24, 2**30, 2**31 - 1, -(2**31))
_SCALES: Final = (0.0, -1.0, 1e-45, 1e-38, 1e-10, 0.5, 1.0, 1e10, 3e38, float("inf"), float("nan"))
_OPTIONS: Final = tuple(
    name
    for name in vars(schema.BuiltinOptions)
    if not name.startswith("_") and name != "NONE" and hasattr(schema, f"{name}T")
)
_CODES: Final = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int) and name.isupper()
}

Change = Callable[[Any, Any, random.Random], object]


def model_file(seed: int, case: int) -> bytes:
    """The file of a case: the same seed and number give the same bytes."""
    dice = random.Random(f"{seed} {case}")
    name = dice.choice(["mobilenet"] * 20 + ["int8"] * 15 + ["float"] * 12 + ["demo"])
    if dice.random() < 0.1:
        return _torn(bytearray(small_models()[name]), dice)
    while True:
        model = _tree(name)
        for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 6])):
            with contextlib.suppress(AttributeError, IndexError, TypeError, ValueError):  # there is no such number
                dice.choice(_CHANGES)(model, model.subgraphs[0], dice)
        try:
            content = packed(model)
        except Exception:  # noqa: BLE001 - what cannot be written is not a file
            continue
        return content + _archive(dice) if dice.random() < 0.05 else content


@cache
def _original(name: str) -> Any:
    return unpacked(small_models()[name])


def _tree(name: str) -> Any:
    return deepcopy(_original(name))


def _torn(content: bytearray, dice: random.Random) -> bytes:
    """Bytes flipped, cut off or repeated: what no reading of the fields foresees."""
    kind = dice.randrange(4)
    if kind == 0:
        return bytes(content[: dice.randrange(len(content))])
    if kind == 1:
        start = dice.randrange(len(content))
        return bytes(content[:start] + content[start : start + dice.randrange(400)] * 2 + content[start:])
    for _ in range(dice.choice([1, 2, 8, 64])):
        place = dice.randrange(len(content) if kind == 2 else min(len(content), 2000))
        width = dice.choice([1, 2, 4])
        value = dice.choice(_NUMBERS) if dice.random() < 0.5 else dice.randrange(2**31)
        content[place : place + width] = (value & (2 ** (8 * width) - 1)).to_bytes(width, "little")
    return bytes(content)


def _archive(dice: random.Random) -> bytes:
    """Labels as TensorFlow Lite Metadata appends them, in every compression, sometimes torn."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", dice.choice([0, 8, 12, 14])) as archive:
        archive.writestr("labels.txt", dice.choice([b"a\nb\n", b"\xff\xfe", b"", b" " * 3_000_000]))
    content = bytearray(file.getvalue())
    return _torn(content, dice) if dice.random() < 0.5 else bytes(content)


def _some(items: Any, dice: random.Random) -> Any:
    return items[dice.randrange(len(items))]


def _index(items: Any, dice: random.Random) -> int:
    """Mostly the number of something that is there."""
    return dice.randrange(len(items)) if dice.random() < 0.6 else dice.choice(_NUMBERS)


def _with_one_changed(values: Any, new: Any, dice: random.Random) -> list[Any]:
    changed = list(values)
    place = dice.randrange(len(changed) + 1)
    kind = dice.randrange(5)
    if kind == 0:
        changed.insert(place, new)
    elif kind == 1:
        del changed[place]
    else:
        changed[place] = new
    return changed


def _shape(model: Any, graph: Any, dice: random.Random) -> None:
    tensor = _some(graph.tensors, dice)
    tensor.shape = _with_one_changed(tensor.shape, dice.choice(_NUMBERS), dice)


def _type(model: Any, graph: Any, dice: random.Random) -> None:
    _some(graph.tensors, dice).type = dice.randrange(22)


def _buffer_of(model: Any, graph: Any, dice: random.Random) -> None:
    _some(graph.tensors, dice).buffer = abs(_index(model.buffers, dice))


def _flags(model: Any, graph: Any, dice: random.Random) -> None:
    tensor = _some(graph.tensors, dice)
    kind = dice.randrange(4)
    if kind == 0:
        tensor.isVariable = True
    elif kind == 1:
        tensor.shapeSignature = _with_one_changed(tensor.shape, dice.choice(_NUMBERS), dice)
    elif kind == 2:
        tensor.sparsity = schema.SparsityParametersT()
        tensor.sparsity.traversalOrder = [dice.choice(_NUMBERS) for _ in range(dice.randrange(4))]
        tensor.sparsity.blockMap = [dice.choice(_NUMBERS) for _ in range(dice.randrange(3))]
    else:
        tensor.externalBuffer = abs(dice.choice(_NUMBERS))


def _scale(model: Any, graph: Any, dice: random.Random) -> None:
    quantization = _some([t for t in graph.tensors if t.quantization is not None], dice).quantization
    quantization.scale = _with_one_changed(quantization.scale, dice.choice(_SCALES), dice)


def _zero_point(model: Any, graph: Any, dice: random.Random) -> None:
    quantization = _some([t for t in graph.tensors if t.quantization is not None], dice).quantization
    quantization.zeroPoint = _with_one_changed(quantization.zeroPoint, dice.choice(_NUMBERS), dice)


def _dimension(model: Any, graph: Any, dice: random.Random) -> None:
    tensor = _some(graph.tensors, dice)
    if dice.random() < 0.5:
        tensor.quantization = None
    else:
        tensor.quantization.quantizedDimension = dice.choice(_NUMBERS)


def _operands(model: Any, graph: Any, dice: random.Random) -> None:
    operator = _some(graph.operators, dice)
    operator.inputs = _with_one_changed(operator.inputs, _index(graph.tensors, dice), dice)


def _results(model: Any, graph: Any, dice: random.Random) -> None:
    operator = _some(graph.operators, dice)
    operator.outputs = _with_one_changed(operator.outputs, _index(graph.tensors, dice), dice)


def _option(model: Any, graph: Any, dice: random.Random) -> None:
    options = _some(graph.operators, dice).builtinOptions
    name = _some(list(vars(options)), dice)
    value = getattr(options, name)
    if isinstance(value, bool):
        setattr(options, name, not value)
    elif isinstance(value, float):
        setattr(options, name, dice.choice(_SCALES))
    elif value is None or isinstance(value, (list, np.ndarray)):
        setattr(options, name, [dice.choice(_NUMBERS) for _ in range(dice.randrange(6))])
    else:
        setattr(options, name, dice.choice(_NUMBERS[:6] if "ctivation" in name or name == "padding" else _NUMBERS))


def _options(model: Any, graph: Any, dice: random.Random) -> None:
    operator = _some(graph.operators, dice)
    if dice.random() < 0.3:
        operator.builtinOptions, operator.builtinOptionsType = None, dice.choice([0, operator.builtinOptionsType])
    elif dice.random() < 0.3:
        operator.builtinOptionsType = dice.randrange(130)
    else:
        _give_options(operator, _some(_OPTIONS, dice))
    operator.customOptions = [dice.randrange(256) for _ in range(dice.choice([0, 0, 8]))]


def _give_options(operator: Any, name: str) -> None:
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()


def _another_operator(model: Any, graph: Any, dice: random.Random) -> None:
    """Another operator, mostly with options of its own kind, so that it comes as far as its shapes and types."""
    number = _some(sorted(_CODES), dice) if dice.random() < 0.9 else dice.randrange(250)
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = dice.choice([1, 1, 1, 2, 3, 4, 99])
    if dice.random() < 0.1:
        code.customCode = "Custom"
    model.operatorCodes.append(code)
    operator = _some(graph.operators, dice)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    wanted = f"{_CODES.get(number, '').replace('_', '').lower()}options"
    fitting = [name for name in _OPTIONS if name.lower() == wanted]
    if fitting and dice.random() < 0.8:
        _give_options(operator, fitting[0])


def _code_index(model: Any, graph: Any, dice: random.Random) -> None:
    _some(graph.operators, dice).opcodeIndex = abs(_index(model.operatorCodes, dice))


def _order(model: Any, graph: Any, dice: random.Random) -> None:
    place = dice.randrange(len(graph.operators))
    kind = dice.randrange(3)
    if kind == 0:
        del graph.operators[place]
    elif kind == 1:
        graph.operators.insert(place, deepcopy(_some(graph.operators, dice)))
    else:
        dice.shuffle(graph.operators)


def _content(model: Any, graph: Any, dice: random.Random) -> None:
    buffer = _some([b for b in model.buffers if b.data is not None], dice)
    kind = dice.randrange(5)
    if kind == 0:
        buffer.data = buffer.data[: dice.randrange(len(buffer.data))]
    elif kind == 1:
        buffer.data = np.append(buffer.data, buffer.data[:4])
    elif kind == 2:
        buffer.data = None
    else:  # the numbers themselves: pads, axes and shapes are some of them
        data = np.array(buffer.data, np.uint8)
        place = 4 * dice.randrange(max(1, len(data) // 4))
        data[place : place + 4] = np.frombuffer(np.int32(dice.choice(_NUMBERS)).tobytes(), np.uint8)[: len(data)]
        buffer.data = data


def _elsewhere(model: Any, graph: Any, dice: random.Random) -> None:
    buffer = _some(model.buffers, dice)
    buffer.data = dice.choice([None, buffer.data])
    buffer.offset, buffer.size = (dice.choice([0, 1, 2, 100, 4000, 2**31, 2**40, 2**63]) for _ in range(2))


def _ends(model: Any, graph: Any, dice: random.Random) -> None:
    if dice.random() < 0.5:
        graph.inputs = _with_one_changed(graph.inputs, _index(graph.tensors, dice), dice)
    else:
        graph.outputs = _with_one_changed(graph.outputs, _index(graph.tensors, dice), dice)


def _graphs(model: Any, graph: Any, dice: random.Random) -> None:
    kind = dice.randrange(4)
    if kind == 0:
        model.subgraphs = dice.choice([[], None])
    elif kind == 1:
        model.subgraphs = [graph, deepcopy(graph)]
    elif kind == 2:
        setattr(graph, dice.choice(["tensors", "operators", "inputs", "outputs"]), dice.choice([[], None]))
    else:
        setattr(model, dice.choice(["buffers", "operatorCodes"]), dice.choice([[], None]))


def _head(model: Any, graph: Any, dice: random.Random) -> None:
    kind = dice.randrange(4)
    if kind == 0:
        model.version = dice.choice([0, 1, 2, 4, 2**32 - 1])
    elif kind == 1:
        model.metadataBuffer = [dice.choice(_NUMBERS)]
    elif kind == 2:
        entry = schema.MetadataT()
        entry.name = dice.choice(["TFLITE_METADATA", "min_runtime_version", "\x1b]0;x\x07"])
        entry.buffer = abs(_index(model.buffers, dice))
        model.metadata = [entry]
    else:
        signature, ends = schema.SignatureDefT(), schema.TensorMapT()
        ends.name, ends.tensorIndex = "x", abs(_index(graph.tensors, dice))
        signature.inputs, signature.outputs, signature.signatureKey = [ends], [ends], "serving"
        signature.subgraphIndex = abs(dice.choice(_NUMBERS))
        model.signatureDefs = [signature]


_CHANGES: Final[tuple[Change, ...]] = (
    _shape, _shape, _type, _buffer_of, _flags, _scale, _zero_point, _dimension, _operands, _operands, _results,
    _option, _option, _options, _another_operator, _another_operator, _another_operator, _code_index, _order, _content,
    _content, _elsewhere, _ends, _graphs, _head,
)  # fmt: skip
