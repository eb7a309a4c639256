"""The layers of a stored configuration in the order in which they run, with where their arrays lie in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convert.errors import CheckpointError

__all__ = ["KerasLayer", "flattened"]

_MODELS: Final = ("Functional", "Model", "Sequential")
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasLayer:
    """One layer as its configuration has it."""

    name: str
    kind: str
    """Its class: ``Conv2D``..."""
    config: Mapping[str, Any]
    group: str
    """Where Keras 3 keeps its arrays: ``layers/functional/layers/conv2d_1``."""
    outermost: str
    """The name of the layer itself, or of the network in the whole network that it is a part of."""
    constants: tuple[float, ...] = ()
    """Numbers that it is called with beside the picture, as operations on tensors are."""
    texts: tuple[str, ...] = ()
    """Texts that it is called with, such as a type's name."""


def flattened(path: Path, model: Mapping[str, Any]) -> list[KerasLayer]:
    """Every layer from the input to the output, those of networks within the network in their place.

    Raises:
        CheckpointError: It is not a row of layers.
    """
    try:
        return list(_flat(path, model, "", "", 0))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as reason:
        if isinstance(reason, CheckpointError):
            raise
        raise CheckpointError(
            f"{path}: its configuration is not one of Keras ({type(reason).__name__}: {str(reason)[:80]}). Save the "
            "model again: model.save('model.keras')."
        ) from reason


def _flat(path: Path, model: Mapping[str, Any], group: str, outermost: str, depth: int) -> Iterator[KerasLayer]:
    if depth > _DEEPEST:
        raise CheckpointError(f"{path} has networks within networks more than {_DEEPEST} deep.")
    kind, config = model["class_name"], model["config"]
    layers = config.get("layers") if isinstance(config, Mapping) else config  # Keras 2.1 has a bare list
    if kind not in _MODELS or not isinstance(layers, Sequence):
        raise CheckpointError(
            f"{path} is of the class '{kind}', whose layers only its own code knows: build the network as a functional "
            "or Sequential model of Keras' layers, load the weights into that, and save it."
        )
    groups = _groups(layers, group)
    row = layers if kind == "Sequential" else _chain(path, config, layers)
    for layer in row:
        name = _name(layer)
        if layer["class_name"] in _MODELS:
            yield from _flat(path, layer, groups[id(layer)] + "/", outermost or name, depth + 1)
        else:
            values = list(_constants(layer.get("inbound_nodes", ())))
            yield KerasLayer(
                name=name,
                kind=layer["class_name"],
                config=layer["config"],
                group=groups[id(layer)],
                outermost=outermost or name,
                constants=tuple(float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)),
                texts=tuple(v for v in values if isinstance(v, str)),
            )


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer.get("name") or layer["config"]["name"])


def _groups(layers: Sequence[Any], group: str) -> dict[int, str]:
    """Where Keras 3 keeps each layer's arrays: by class, counted in the order of the configuration."""
    counts: dict[str, int] = {}
    found = {}
    for layer in layers:
        name = _snake(layer["class_name"])
        number = counts[name] = counts.get(name, -1) + 1
        found[id(layer)] = f"{group}layers/{name}_{number}" if number else f"{group}layers/{name}"
    return found


def _snake(name: str) -> str:
    """As ``keras.src.utils.naming.to_snake_case``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _chain(path: Path, config: Mapping[str, Any], layers: Sequence[Any]) -> list[Any]:
    """The layers between the input and the output of a functional model, which must be a row."""
    named = {_name(layer): layer for layer in layers}
    outputs = [name for name in _strings(config["output_layers"]) if name in named]
    if len(outputs) != 1:
        raise CheckpointError(
            f"{path} has {len(outputs)} outputs ({', '.join(outputs[:4])}): expected one, the answer of a classifier."
        )
    row, current = [], outputs[0]
    while True:
        layer = named[current]
        row.append(layer)
        sources = sorted({name for name in _sources(layer.get("inbound_nodes", ())) if name in named})
        if not sources or len(row) > len(layers):
            break
        if len(sources) > 1:
            raise CheckpointError(
                f"{path}: layer '{current}' ({layer['class_name']}) joins {' and '.join(map(repr, sources[:3]))}: "
                "MobileNet v1 is one row of layers. This is another architecture."
            )
        current = sources[0]
    return row[::-1]


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _strings(value)
    elif isinstance(values, Sequence):
        for value in values:
            yield from _strings(value)


def _sources(nodes: Any) -> Iterator[str]:
    """The layers that a layer takes its input from: ``keras_history`` in Keras 3, ``[name, node, tensor]`` in 2."""
    if isinstance(nodes, Mapping):
        if "keras_history" in nodes:
            yield str(nodes["keras_history"][0])
        else:
            for value in nodes.values():
                yield from _sources(value)
    elif isinstance(nodes, Sequence) and not isinstance(nodes, str):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            yield nodes[0]
        else:
            for value in nodes:
                yield from _sources(value)


def _constants(nodes: Any) -> Iterator[Any]:
    """The values beside the tensors: ``args`` in Keras 3, ``{"y": 127.5}`` in 2."""
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        return
    for node in nodes:
        values: list[Any] = []
        if isinstance(node, Mapping):
            values = [*node.get("args", ()), *node.get("kwargs", {}).values()]
        elif isinstance(node, Sequence) and not isinstance(node, str):
            flat = node[0] if node and isinstance(node[0], Sequence) and not isinstance(node[0], str) else node
            values = [v for part in flat if isinstance(part, Mapping) for v in part.values()]
        yield from values
