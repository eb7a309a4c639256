"""State dicts of PyTorch, whatever their names: recognised by the shapes and the order of their tensors.

Every implementation has the same convolutions in the same order, each with a batch norm, and a classifier. What the
tensors do not tell, such as the activation or the pixels' normalization, follows who uses such names: timm
(``timm/models/efficientnet.py``), the CIFAR networks after kuangliu/pytorch-cifar, and slimmable networks
(taoyang1122/MutualNet ``models/mobilenet_v1.py``), of which the widest is taken; or else PyTorch's customs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convert.checkpoints.weights import FILTERS, Arrays, Weights, width_multiplier
from convert.errors import CheckpointError
from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD, ModelConfig
from edge.bundles.architecture import BLOCKS

__all__ = ["read"]

_Module = dict[str, NDArray[np.float32]]
_OURS: Final = {"stem.conv.weight", "blocks.12.1.bn.weight"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Custom:
    """Who names tensors so, and what goes with it."""

    layout: str
    names: tuple[str, ...]
    """Patterns that tensors' names must have, each at least one's."""
    config: Mapping[str, Any]
    first: str = r"$^"
    """Pattern of the stem's modules, where they have no module of their own and are not the first by name."""
    note: str = ""


_TORCH: Final[Mapping[str, Any]] = {"padding": "symmetric", "bn_eps": 1e-5}
_CUSTOMS: Final = (
    _Custom(
        layout="timm",
        names=(r"^conv_stem\.", r"^blocks\.\d+\.\d+\.conv_pw\.", r"^classifier\."),
        config={**_TORCH, "mean": HALF_RANGE, "std": HALF_RANGE},
        first=r"^(conv_stem|bn1)$",
    ),
    _Custom(
        layout="pytorch-cifar",
        names=(r"^conv1\.weight", r"^layers\.0\.conv1\.", r"^linear\."),
        config={
            **_TORCH,
            "activation": "relu",
            "stem_stride": 1,
            "mean": (125.307, 122.961, 113.8575),
            "std": (51.5865, 50.847, 51.255),
        },
        note="taken for a network of CIFAR's 32x32 pictures, with a stem of stride 1 and CIFAR-10's normalization",
    ),
    _Custom(
        layout="slimmable",
        names=(r"^features\.\d+\.body\.\d+\.", r"^classifier\.0\."),
        config={**_TORCH, "mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    ),
    _Custom(
        layout="torch",
        names=(),
        config={**_TORCH, "activation": "relu", "mean": IMAGENET_MEAN, "std": IMAGENET_STD},
        note="ReLU, symmetric padding, eps 1e-5 and ImageNet's mean and deviation are PyTorch's customs",
    ),
)


def read(path: Path, arrays: Arrays, *, is_ordered: bool) -> Weights:
    """The network in a state dict.

    Args:
        path: Where it was read, for messages.
        arrays: The tensors by name.
        is_ordered: Whether they stand in the order of the layers; else their names tell it.

    Raises:
        CheckpointError: They are not those of a MobileNet v1.
    """
    arrays = _of_the_widest(_without_wrappers(arrays))
    if set(arrays) >= _OURS:
        raise CheckpointError(
            f"{path} has mobilenet-edge's tensors without their configuration: write it with "
            "convert.checkpoints.save_checkpoint, which keeps both."
        )
    custom = next(c for c in _CUSTOMS if all(any(re.search(p, name) for name in arrays) for p in c.names))
    names = list(arrays) if is_ordered else _by_name(arrays, custom)
    convolutions, norms, linears = _modules(path, {name: arrays[name] for name in names})
    tensors: Arrays = {}
    classifier = _classifier(path, convolutions, norms, linears)
    widths, head = _fill(path, tensors, convolutions, norms)
    tensors["classifier.weight"] = classifier["weight"].reshape(classifier["weight"].shape[:2])
    tensors["classifier.bias"] = classifier.get("bias", np.zeros(len(classifier["weight"]), np.float32))
    found = width_multiplier(widths)
    if found is None:
        raise CheckpointError(
            f"{path} has layers of {', '.join(map(str, widths))} channels: MobileNet v1 has "
            f"{', '.join(map(str, FILTERS))} times one α. A network pruned channel by channel is another architecture."
        )
    alpha, rounding = found
    config = ModelConfig(
        alpha=alpha, rounding=rounding, classes=len(tensors["classifier.bias"]), head=head, **custom.config
    )
    return Weights(layout=custom.layout, config=config, tensors=tensors, note=custom.note)


def _without_wrappers(arrays: Arrays) -> Arrays:
    """Without counters, and without what DataParallel and torch.compile put before every name."""
    kept = {name: values for name, values in arrays.items() if not name.endswith("num_batches_tracked")}
    for prefix in ("module.", "_orig_mod."):
        if kept and all(name.startswith(prefix) for name in kept):
            kept = {name.removeprefix(prefix): values for name, values in kept.items()}
    return kept


def _of_the_widest(arrays: Arrays) -> Arrays:
    """Of batch norms that keep statistics for several widths (``X.bn.3.running_mean``), those of all channels."""
    kept: Arrays = {}
    for name, values in arrays.items():
        match = re.fullmatch(r"(.+)\.bn\.\d+\.(running_mean|running_var)", name)
        if match is None or f"{match[1]}.weight" not in arrays:
            kept[name] = values
        elif values.shape == arrays[f"{match[1]}.weight"].shape:
            kept[f"{match[1]}.{match[2]}"] = values
    return kept


def _by_name(arrays: Arrays, custom: _Custom) -> list[str]:
    """The names in the order of the layers: numbers by their value, and the stem, which takes three colours, first."""
    stems = [name.rpartition(".")[0].rpartition(".")[0] for name, v in arrays.items() if v.shape[1:] == (3, 3, 3)]

    def place(name: str) -> tuple[bool, list[tuple[int, str]]]:
        module = name.rpartition(".")[0]
        is_stem = any(stem and module.startswith(f"{stem}.") for stem in stems) or re.search(custom.first, module)
        return not is_stem, [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]

    return sorted(arrays, key=place)


def _modules(path: Path, arrays: Arrays) -> tuple[dict[str, _Module], dict[str, _Module], dict[str, _Module]]:
    """The convolutions, batch norms and linear layers, each kind in order."""
    modules: dict[str, _Module] = {}
    for name, values in arrays.items():
        parent, _, leaf = name.rpartition(".")
        modules.setdefault(parent, {})[leaf] = values
    kinds: tuple[dict[str, _Module], ...] = ({}, {}, {})
    for name, module in modules.items():
        ndim = module["weight"].ndim if "weight" in module else 0
        kind = 1 if "running_mean" in module else {4: 0, 2: 2}.get(ndim)
        expected = {"weight", "bias", "running_mean", "running_var"} if kind == 1 else {"weight", "bias"}
        odd = sorted(set(module) - expected) if kind is not None else sorted(module)
        if kind is None or odd:
            raise CheckpointError(f"{path} has tensor '{name}.{odd[0]}', which no MobileNet v1 has.")
        kinds[kind][name] = module
    return kinds[0], kinds[1], kinds[2]


def _classifier(
    path: Path, convolutions: dict[str, _Module], norms: dict[str, _Module], linears: dict[str, _Module]
) -> _Module:
    """The linear layer, or the last of the convolutions, which it is taken from, if that has no batch norm."""
    if len(linears) == 1:
        return next(iter(linears.values()))
    if not linears and len(convolutions) == len(norms) + 1:
        return convolutions.pop(next(reversed(convolutions)))
    raise CheckpointError(
        f"{path} has {len(linears)} linear layers, {len(convolutions)} convolutions and {len(norms)} batch norms: "
        "a MobileNet v1 has 27 convolutions with a batch norm each, and one classifier. A file of the features alone, "
        "or of a detector, cannot classify."
    )


def _fill(
    path: Path, tensors: Arrays, convolutions: dict[str, _Module], norms: dict[str, _Module]
) -> tuple[tuple[int, ...], int]:
    """Put every layer before the classifier under its name; the widths, and the head's filters or 0."""
    places = ["stem", *(f"blocks.{n}.{part}" for n in range(len(BLOCKS)) for part in (0, 1))]
    places += ["head"] * (len(convolutions) == len(places) + 1)
    if len(convolutions) != len(places) or len(norms) != len(places):
        raise CheckpointError(
            f"{path} has {len(convolutions)} convolutions and {len(norms)} batch norms before its classifier: "
            "MobileNet v1 has 27 of each, or 28 with a head. This is another architecture."
        )
    widths, channels = [], 3
    for place, (name, layer), (norm_name, norm) in zip(places, convolutions.items(), norms.items(), strict=True):
        weight, is_depthwise = layer["weight"], place.endswith(".0")
        wanted = (
            (channels, 1, 3, 3) if is_depthwise else (len(weight), channels, *((3, 3) if place == "stem" else (1, 1)))
        )
        if weight.shape != wanted:
            raise CheckpointError(f"{path}: tensor '{name}.weight' is {weight.shape}, expected {wanted} ({place}).")
        tensors.update(_unit(path, place, layer, norm_name, norm))
        channels = len(weight)
        widths += [] if is_depthwise or place == "head" else [channels]
    return tuple(widths), channels if places[-1] == "head" else 0


def _unit(path: Path, place: str, layer: _Module, norm_name: str, norm: _Module) -> Iterator[tuple[str, Any]]:
    """One convolution and its batch norm; a bias before the norm goes into the norm's mean, which takes it off."""
    channels = len(layer["weight"])
    missing = {"running_var", "weight", "bias"} - set(norm)
    if missing or any(values.shape != (channels,) for values in norm.values()):
        found = f"lacks {sorted(missing)[0]}" if missing else f"has {len(norm['running_mean'])} channels"
        raise CheckpointError(f"{path}: batch norm '{norm_name}' {found}, expected {channels} channels of all four.")
    yield f"{place}.conv.weight", layer["weight"]
    yield from ((f"{place}.bn.{leaf}", norm[leaf]) for leaf in ("weight", "bias", "running_var"))
    yield f"{place}.bn.running_mean", norm["running_mean"] - layer.get("bias", np.float32(0))
