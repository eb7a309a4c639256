"""What exporters write as several operators and is one: a pool in two means, or with a Gather behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from convert.checkpoints.graph import Node
from convert.checkpoints.network import Array

__all__ = ["axes_of", "steps"]

_Node = Node[str]
Step = tuple[_Node, str]
"""An operator, and the tensor that it takes from the one before."""
_DEEPEST: Final = 16
_MOST_VALUES: Final = 1_000_000


def steps(nodes: Sequence[_Node], row: list[Step], constants: dict[str, Array]) -> Iterator[Step]:
    """The operators of a row, with those as one that are one, and without those that change nothing.

    Args:
        nodes: All of the graph, for what is computed of shapes.
        row: Those between the picture and the answer.
        constants: The graph's arrays by name.
    """
    makers = {output: node for node in nodes for output in node.outputs}
    whole = list(_means_of_rows(list(_whole_clips(_whole_means(row, constants), constants)), makers, constants))
    is_pooled = False
    for number, (node, taken) in enumerate(whole):
        is_pooled = is_pooled or node.kind in ("GlobalAveragePool", "ReduceMean")
        if is_pooled and _takes_the_only_place(node, constants):
            yield replace(node, kind="Squeeze"), taken
            continue
        before = [one.kind for one, _ in whole[max(0, number - 2) : number]]
        is_flat_pool = before in (["ReduceMean", "Reshape"], ["GlobalAveragePool", "Reshape"])
        if node.kind == "Gather" and is_flat_pool and _takes_all(node, makers, constants):
            continue
        yield node, taken


def _takes_the_only_place(node: _Node, constants: Mapping[str, Array]) -> bool:
    """Whether a Gather takes place 0 of a dimension that only the pool's one place can have, as ``x[:, :, 0, 0]``."""
    if node.kind != "Gather" or len(node.inputs) < 2 or node.attributes.get("axis", 0) in (0, 1):
        return False
    place = constants.get(node.inputs[1])
    return place is not None and place.ndim == 0 and int(place) in (0, -1)


def _means_of_rows(found: list[Step], makers: Mapping[str, _Node], constants: dict[str, Array]) -> Iterator[Step]:
    """The operators, with the mean of all places in one row (``x.flatten(2).mean(2)``) as a pool."""
    number = 0
    while number < len(found):
        node, taken = found[number]
        following = found[number + 1][0] if number + 1 < len(found) else node
        if node.kind == "Reshape" and following.kind == "ReduceMean":
            rank = _length(node.inputs[1], makers, constants, 0) if len(node.inputs) > 1 else None
            if rank == 3 and axes_of(following, constants, 3) == [2]:
                yield replace(following, kind="GlobalAveragePool", inputs=(taken,)), taken
                number += 2
                continue
        yield node, taken
        number += 1


def _length(name: str, makers: Mapping[str, _Node], constants: Mapping[str, Array], depth: int) -> int | None:
    """How many numbers a shape has, also where it is computed of a picture's; None if that is not seen."""
    if name in constants:
        return constants[name].size
    node = makers.get(name)
    if node is None or depth > 2 or node.kind not in ("Concat", "Unsqueeze", "Slice"):
        return None
    if node.kind == "Unsqueeze":  # of one number
        return 1
    if node.kind == "Slice":
        ends = [constants.get(one) for one in node.inputs[1:3]]
        sizes = [int(end.ravel()[0]) for end in ends if end is not None and end.size == 1]
        return sizes[1] - sizes[0] if len(sizes) == 2 and 0 <= sizes[0] < sizes[1] else None
    parts = [_length(one, makers, constants, depth + 1) for one in node.inputs[:_DEEPEST]]
    return sum(part for part in parts if part) if all(parts) else None


def _takes_all(node: _Node, makers: Mapping[str, _Node], constants: Mapping[str, Array]) -> bool:
    """Whether a Gather takes a row of values as it is.

    PyTorch's exporter writes ``AdaptiveAvgPool2d(1)`` as a mean, ``as_strided`` and a view: all values in their order.
    """
    if node.attributes.get("axis", 0) != 0 or len(node.inputs) < 2:
        return False
    try:
        places = _computed(node.inputs[1], makers, constants, 0)
    except (ValueError, TypeError, IndexError):  # shapes that do not go together
        return False
    return places is not None and bool(np.array_equal(places.ravel(), np.arange(places.size)))


def _computed(name: str, makers: Mapping[str, _Node], constants: Mapping[str, Array], depth: int) -> Array | None:
    """The integers that a graph computes for a batch of one; None where another operator is needed."""
    if name in constants:
        return constants[name]
    node = makers.get(name)
    if node is None or depth > _DEEPEST:
        return None
    if node.kind == "Range":  # over the pictures of a batch
        start = constants.get(node.inputs[0])
        return np.zeros(1) if start is not None and not np.any(start) else None
    found = [_computed(one, makers, constants, depth + 1) for one in node.inputs]
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    first, second = found[0], found[1]
    if node.kind == "Unsqueeze":
        return np.expand_dims(first, tuple(int(axis) for axis in second.ravel()))
    if node.kind in ("Add", "Mul") and np.broadcast(first, second).size <= _MOST_VALUES:
        return first + second if node.kind == "Add" else first * second
    return None


def _whole_clips(found: Iterable[Step], constants: Mapping[str, Array]) -> Iterator[Step]:
    """The operators, with a lower and an upper limit one after the other, as ``min(max(x, 0), 6)``, as one."""
    before: tuple[_Node, str, float] | None = None
    for node, taken in found:
        low, high = _limits(node, constants)
        if before is not None:
            first, tensor, least = before
            before = None
            if low == -np.inf and high < np.inf:
                limits = {"min": least, "max": high}
                yield replace(node, kind="Clip", inputs=first.inputs[:1], attributes=limits), tensor
                continue
            yield first, tensor
        if low > -np.inf and high == np.inf:
            before = node, taken, low
        else:
            yield node, taken
    if before is not None:
        yield before[:2]


def _limits(node: _Node, constants: Mapping[str, Array]) -> tuple[float, float]:
    """Between which numbers an operator holds its values; infinite where it does not."""
    if node.kind == "Relu":
        return 0.0, np.inf
    values = [constants[name] for name in node.inputs if name in constants]
    if node.kind not in ("Max", "Min") or len(node.inputs) != 2 or len(values) != 1 or values[0].size != 1:
        return -np.inf, np.inf
    limit = float(values[0].item())
    return (limit, np.inf) if node.kind == "Max" else (-np.inf, limit)


def _whole_means(found: list[Step], constants: dict[str, Array]) -> Iterator[Step]:
    """The operators, with two means over one direction each (``x.mean(3).mean(2)``) as one over both."""
    before: Step | None = None
    for node, taken in found:
        axes = axes_of(node, constants) if node.kind == "ReduceMean" else []
        if before is not None:
            first, keeps = axes_of(before[0], constants)[0], before[0].attributes.get("keepdims", 1)
            axes = axes if keeps else axes_of(node, constants, 3) if axes else []
            both = sorted([first, axes[0] + (not keeps and axes[0] >= first)]) if len(axes) == 1 else []
            if both not in ([1, 2], [2, 3]):
                yield before
                yield node, taken
            else:
                yield replace(node, kind="ReduceMean", inputs=node.inputs[:1], attributes={"axes": both}), taken
            before = None
        elif len(axes) == 1 and axes[0] != 0:
            before = node, taken
        else:
            yield node, taken
    if before is not None:
        yield before


def axes_of(node: _Node, constants: Mapping[str, Array], rank: int = 4) -> list[int]:
    """The axes that a ``ReduceMean`` of ``rank`` dimensions takes the mean over."""
    given = node.attributes.get("axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1] in constants:
        given = constants[node.inputs[1]].ravel().tolist()
    return sorted(int(n) % rank for n in given or ())
