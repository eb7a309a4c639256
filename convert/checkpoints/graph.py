"""Graphs of operators, as ONNX and TensorFlow Lite have them: the one row from the picture to the answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np

from convert.checkpoints.network import Affine, Array, Layer, Pads, ZeroPadding
from convert.checkpoints.pixel_map import PixelMap, StepError
from convert.errors import CheckpointError

__all__ = ["Node", "affine", "byte_layers", "padding", "pixel_layers", "pixel_steps", "row", "side_of"]

_Key = TypeVar("_Key", bound=Hashable)
_BROKEN: Final = (IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError, ZeroDivisionError)
_SHAPES: Final = ("Shape", "SHAPE", "CastLike")
"""Operators that look at a tensor's shape or type alone: no part of the row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node(Generic[_Key]):
    """One operator."""

    kind: str
    """As its format names it: ``Conv``, ``CONV_2D``..."""
    name: str
    inputs: tuple[_Key, ...]
    outputs: tuple[_Key, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def row(path: Path, nodes: Sequence[Node[_Key]], start: _Key, end: _Key) -> list[tuple[Node[_Key], _Key]]:
    """Each operator between ``start`` and ``end``, with the tensor that it takes from the one before.

    Raises:
        CheckpointError: The graph branches, or does not arrive.
    """
    takers: dict[_Key, list[Node[_Key]]] = {}
    for node in nodes:
        for tensor in dict.fromkeys(node.inputs):
            takers.setdefault(tensor, []).append(node)
    found: list[tuple[Node[_Key], _Key]] = []
    current = start
    while current != end and (not found or end not in found[-1][0].outputs) and len(found) <= len(nodes):
        following = [node for node in takers.get(current, ()) if node.kind not in _SHAPES]
        if len(following) != 1:
            names = " and ".join(f"'{node.name}' ({node.kind})" for node in following[:3]) or "nothing"
            raise CheckpointError(
                f"{path}: tensor '{current}' goes to {names}: MobileNet v1 is one row of layers. This is another "
                "architecture."
            )
        found.append((following[0], current))
        current = following[0].outputs[0]
    return found


def affine(path: Path, node: Node[Any], operation: str, number: Array | None, *, is_first: bool) -> Layer:
    """``x`` with a constant added, subtracted, multiplied or divided by.

    Args:
        path: For messages.
        node: The operator.
        operation: ``add``, ``sub``, ``mul`` or ``div``.
        number: The constant; None if both sides are tensors.
        is_first: Whether the tensor stands before the constant.
    """
    if number is None or (operation in ("sub", "div") and not is_first) or sum(n > 1 for n in number.shape) > 1:
        raise CheckpointError(
            f"{path}: operator '{node.name}' ({node.kind}) joins two tensors: MobileNet v1 is one row of layers. This "
            "is another architecture."
        )
    value = number.astype(np.float64).ravel()
    value = value[0] if value.size == 1 else value
    with np.errstate(divide="ignore"):
        scale = {"mul": value, "div": 1 / value}.get(operation, np.ones_like(value))
    shift = {"add": value, "sub": -value}.get(operation, np.zeros_like(value))
    return Affine(name=node.name, scale=np.asarray(scale), shift=np.asarray(shift))


def padding(path: Path, node: Node[Any], rows: tuple[int, int], columns: tuple[int, int], others: int) -> Layer:
    """Zeros around the picture; ``others`` are those asked for along other axes."""
    pads: Pads = (*columns, *rows)
    if others or min(pads) < 0:
        raise CheckpointError(f"{path}: operator '{node.name}' ({node.kind}) pads more than height and width.")
    return ZeroPadding(name=node.name, pads=pads)


def side_of(path: Path, shape: Sequence[int | None], *, is_channels_last: bool) -> int | None:
    """The side of the square picture that an input of ``shape`` holds; None where it is free.

    Raises:
        CheckpointError: It is not one square picture.
    """
    rows, columns = (shape[1], shape[2]) if is_channels_last else (shape[2], shape[3])
    if rows != columns or (rows is not None and rows < 1):
        raise CheckpointError(
            f"{path} takes pictures of {rows or 'any height'}x{columns or 'any width'}: expected square ones. Behind a "
            "global average pool the same weights serve square ones too: build the network for those, load the "
            "weights, evaluate and save it."
        )
    return rows


def pixel_steps(
    path: Path,
    nodes: Sequence[Node[_Key]],
    start: _Key,
    picture: PixelMap,
    apply: Callable[[Node[_Key], Mapping[_Key, PixelMap]], Sequence[PixelMap] | None],
) -> tuple[_Key, PixelMap, str]:
    """What operators that move and scale channels make of the picture: the tensor that the first other operator takes.

    Args:
        path: For messages.
        nodes: In the order in which they run.
        start: The picture's tensor.
        picture: The picture.
        apply: What an operator makes of known tensors; None if it is of another kind.

    Returns:
        The tensor, what it is, and the last operator's name; the picture itself where several are taken.

    Raises:
        CheckpointError: An operator does something else to the pixels.
    """
    known, names = {start: picture}, {start: ""}
    taken: dict[_Key, None] = {}
    for node in nodes:
        inputs = [tensor for tensor in node.inputs if tensor in known]
        if not inputs or node.kind in _SHAPES:
            continue
        try:
            outputs = apply(node, known)
        except StepError as reason:
            raise CheckpointError(
                f"{path}: before the first convolution, operator '{node.name}' ({node.kind}) {reason}: expected a "
                "normalization and an order of the channels. Export the network without that step."
            ) from reason
        except _BROKEN as reason:
            raise CheckpointError(
                f"{path}: operator '{node.name}' ({node.kind}) is damaged: {str(reason)[:80]}. Export the model again."
            ) from reason
        if outputs is None:
            taken |= dict.fromkeys(inputs)
        else:
            known |= dict(zip(node.outputs, outputs, strict=False))
            names |= dict.fromkeys(node.outputs, node.name)
    end = next(iter(taken)) if len(taken) == 1 else start
    return end, known[end], names[end]


def pixel_layers(path: Path, pixels: PixelMap, name: str, channels: int) -> tuple[Layer, ...]:
    """``pixels`` as layers, named after the operator that made them, of a picture of ``channels``.

    Raises:
        CheckpointError: No layers do the same.
    """
    try:
        return pixels.layers(name, channels)
    except StepError as reason:
        raise CheckpointError(
            f"{path}: before the first convolution, operator '{name}' {reason}: expected each of the channels "
            "once, or one of them several times and scaled alike."
        ) from reason


def byte_layers(name: str, *, is_signed: bool) -> tuple[Layer, ...]:
    """What makes an input of int8 of a picture's bytes: 128 less; nothing where it takes them as they are."""
    return (Affine(name=name, scale=np.asarray(1.0), shift=np.asarray(-128.0)),) * is_signed
