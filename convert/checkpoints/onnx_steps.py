"""What exporters write as several operators and is one: a pool in two means, or with a Gather behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    whole = list(_whole_means(row, constants))
    makers = {output: node for node in nodes for output in node.outputs}
    for number, (node, taken) in enumerate(whole):
        before = [one.kind for one, _ in whole[max(0, number - 2) : number]]
        is_flat_pool = before in (["ReduceMean", "Reshape"], ["GlobalAveragePool", "Reshape"])
        if node.kind == "Gather" and is_flat_pool and _takes_all(node, makers, constants):
            continue
        yield node, taken


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


def axes_of(node: _Node, constants: dict[str, Array], rank: int = 4) -> list[int]:
    """The axes that a ``ReduceMean`` of ``rank`` dimensions takes the mean over."""
    given = node.attributes.get("axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1] in constants:
        given = constants[node.inputs[1]].ravel().tolist()
    return sorted(int(n) % rank for n in given or ())
