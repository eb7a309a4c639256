"""The layers in a state dict, whatever their names: its convolutions, batch norms and linear layers in running order.

The order of the file, or of the names, is only where the search begins: the shapes decide what follows what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.weights import Arrays
from convert.errors import CheckpointError
from edge.bundles.architecture import BLOCKS

__all__ = ["Module", "StateLayers", "state_layers"]

Module = dict[str, NDArray[np.float32]]
"""The tensors of one layer by the last part of their names."""
_Modules = dict[str, Module]
_WEIGHTED: Final = {"weight", "bias"}
_NORMED: Final = {*_WEIGHTED, "running_mean", "running_var"}
_BESIDE: Final = re.compile(r"loss|criterion|metric|accuracy", re.IGNORECASE)
"""Names of modules that trainings keep beside the network."""
_COUNT: Final = 1 + 2 * len(BLOCKS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateLayers:
    """A network's layers by name, each kind in the order in which it runs."""

    convolutions: _Modules
    norms: _Modules
    linears: _Modules
    notes: tuple[str, ...] = ()
    """What was left out."""


def state_layers(path: Path, arrays: Arrays, *, is_ordered: bool, first: str) -> StateLayers:
    """The layers whose tensors ``arrays`` holds.

    Args:
        path: Where they were read, for messages.
        arrays: The tensors by name, without counters.
        is_ordered: Whether they stand in the order in which the network was built; else their names tell it.
        first: Pattern of the stem's modules, where neither shapes nor names tell them.

    Raises:
        CheckpointError: They are of two networks, or a tensor is of no layer that a MobileNet v1 has.
    """
    _check_one_network(path, arrays)
    _check_not_split(path, arrays)
    names = list(arrays) if is_ordered else sorted(arrays, key=_natural)
    modules: _Modules = {}
    for name in names:
        parent, _, leaf = name.rpartition(".")
        modules.setdefault(parent, {})[leaf] = arrays[name]
    left_out = [name for name, module in modules.items() if _is_beside(name, module)]
    kinds: tuple[_Modules, _Modules, _Modules] = ({}, {}, {})
    for name, module in modules.items():
        if name not in left_out:
            whole = _without_masks(module)
            kinds[_kind(path, name, whole)][name] = whole
    convolutions, norms, linears = kinds
    if not is_ordered:
        convolutions, norms = (_stem_first(kind, convolutions, first) for kind in (convolutions, norms))
    convolutions = _alternating(convolutions)
    notes = (f"left out: {', '.join(left_out[:4])}, which the training kept beside the network",) if left_out else ()
    return StateLayers(convolutions=convolutions, norms=_paired(convolutions, norms), linears=linears, notes=notes)


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in a name by their value."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _check_one_network(path: Path, arrays: Arrays) -> None:
    """Refuse a student with its teacher, or weights with their moving average."""
    counts: dict[str, int] = {}
    for name in (name for name, values in arrays.items() if values.ndim == 4):
        parts = name.split(".")
        for end in range(1, len(parts)):
            prefix = ".".join(parts[:end])
            counts[prefix] = counts.get(prefix, 0) + 1
    whole = [p for p, count in counts.items() if _COUNT <= count < 2 * _COUNT]
    outermost = [p for p in whole if not any(p.startswith(f"{other}.") for other in whole)]
    if len(outermost) > 1:
        one = f"{outermost[0]}."
        raise CheckpointError(
            f"{path} holds {len(outermost)} networks, {', '.join(map(repr, outermost[:3]))}: save one of them: "
            f"torch.save({{k[{len(one)}:]: v for k, v in state_dict.items() if k.startswith('{one}')}}, FILE)."
        )


def _check_not_split(path: Path, arrays: Arrays) -> None:
    """Refuse weights that are kept as length and direction, or by other rules from which they are computed."""
    split = next(
        (name for name in arrays if ".parametrizations." in name or name.endswith((".weight_g", ".weight_v"))), ""
    )
    if split:
        raise CheckpointError(
            f"{path}: the weights of '{re.split(r'[.](parametrizations|weight_)', split)[0]}' are not there, but what "
            "they are computed from, as by weight norm. In Python, before model.state_dict(), call "
            "torch.nn.utils.remove_weight_norm(layer) or "
            "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
        )


def _is_beside(name: str, module: Module) -> bool:
    """Whether it is a loss with the weights of its classes, or a count of hits: nothing that the network runs."""
    is_small = all(values.ndim < 2 or name_ not in _NORMED for name_, values in module.items())
    return bool(_BESIDE.search(name)) and is_small and "running_mean" not in module


def _without_masks(module: Module) -> Module:
    """With the weights that ``torch.nn.utils.prune`` keeps as a product."""
    whole = dict(module)
    for leaf in _WEIGHTED:
        weight, mask = whole.get(f"{leaf}_orig"), whole.get(f"{leaf}_mask")
        if weight is not None and mask is not None and weight.shape == mask.shape:
            whole[leaf] = whole.pop(f"{leaf}_orig") * whole.pop(f"{leaf}_mask")
    return whole


def _kind(path: Path, name: str, module: Module) -> int:
    """0 for a convolution, 1 for a batch norm, 2 for a linear layer."""
    ndim = module["weight"].ndim if "weight" in module else 0
    kind = 1 if "running_mean" in module else {4: 0, 2: 2}.get(ndim)
    odd = sorted(set(module) - (_NORMED if kind == 1 else _WEIGHTED))
    if kind is not None and not odd:
        return kind
    if ndim == 1 and not set(module) - _NORMED:
        raise CheckpointError(
            f"{path} has batch norm '{name}' without its running mean and variance: expected all of a trained "
            "network's model.state_dict()."
        )
    tensor = f"{name}.{(odd or sorted(module))[0]}".lstrip(".")
    if set(module) == {"bias"}:
        raise CheckpointError(f"{path} has tensor '{tensor}' without its weight: it is not a whole state dict.")
    raise CheckpointError(
        f"{path} has tensor '{tensor}', which no MobileNet v1 has. If the network does not compute with it, leave it "
        "out of the state dict; if it does, as with a normalization of its own, save the network inside."
    )


def _stem_first(kind: _Modules, convolutions: _Modules, first: str) -> _Modules:
    """The stem's module of this kind before all others: it takes colours, and its norm stands beside it."""
    stems = [name for name, module in convolutions.items() if module["weight"].shape[1:] == (3, 3, 3)]
    if not stems:  # one channel: the stem has a depthwise layer's shape, and is not as deep in the network
        spatial = [name for name, module in convolutions.items() if module["weight"].shape[1:] == (1, 3, 3)]
        stems = sorted(spatial, key=lambda name: name.count("."))[:1]
    if not stems:
        return kind
    parent, channels = stems[0].rpartition(".")[0], convolutions[stems[0]]["weight"].shape[:1]
    own = [name for name in kind if name in stems[:1] or re.search(first, name)]
    beside = [name for name, module in kind.items() if name.rpartition(".")[0] == parent and _first(module) == channels]
    own = own or beside[:1]
    return {**{name: kind[name] for name in own}, **kind}


def _first(module: Module) -> tuple[int, ...]:
    """How many channels a layer gives."""
    return module.get("running_mean", module.get("weight", np.zeros(0))).shape[:1]


def _alternating(convolutions: _Modules) -> _Modules:
    """The stem, depthwise and pointwise layers in turn, and what stands behind them; as they are if not that many."""
    stem, *others = convolutions or [""]
    spatial = [name for name in others if convolutions[name]["weight"].shape[1:] == (1, 3, 3)]
    points = [name for name in others if convolutions[name]["weight"].shape[2:] == (1, 1)]
    if len(spatial) != len(BLOCKS) or len(points) < len(BLOCKS) or len(spatial) + len(points) != len(others):
        return convolutions
    for _ in range(len(points) - len(BLOCKS)):  # a head or a classifier whose name comes before the blocks'
        if convolutions[points[0]]["weight"].shape[1] != len(convolutions[stem]["weight"]):
            points.append(points.pop(0))
    last = points[len(BLOCKS) :]
    if len(last) == 2 and convolutions[last[1]]["weight"].shape[1] != len(convolutions[last[0]]["weight"]):
        last.reverse()
    order = [stem, *(name for pair in zip(spatial, points, strict=False) for name in pair), *last]
    return {name: convolutions[name] for name in order}


def _paired(convolutions: Mapping[str, Module], norms: _Modules) -> _Modules:
    """The norms in the order whose channels are those of the convolutions; as they are if there is none."""
    wanted = [module["weight"].shape[:1] for module in convolutions.values()]
    for order in _orders(list(norms)):
        if [norms[name]["running_mean"].shape for name in order] == wanted[: len(order)]:
            return {name: norms[name] for name in order}
    return norms


def _orders(names: Sequence[str]) -> list[list[str]]:
    """Orders in which a network's norms may be named: the first is that of ``names``."""
    found = [list(names)]
    if len(names) > _COUNT:  # that of a head, before the blocks'
        found.append([names[0], *names[2:], names[1]])
    for one in list(found):
        pairs, rest = one[1:_COUNT], one[_COUNT:]
        half = len(pairs) // 2
        found.append(
            [*one[:1], *(name for n in range(0, len(pairs) - 1, 2) for name in (pairs[n + 1], pairs[n])), *rest]
        )
        found.append(
            [*one[:1], *(name for two in zip(pairs[:half], pairs[half:], strict=False) for name in two), *rest]
        )
    return found
