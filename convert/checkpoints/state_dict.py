"""State dicts of PyTorch, whatever their names: recognised by the shapes and the order of their tensors.

Every implementation has the same convolutions in the same order, each with a batch norm, and a classifier. What the
tensors do not tell, such as the activation or the pixels' normalization, follows who uses such names: timm
(``timm/models/efficientnet.py``), the CIFAR networks after kuangliu/pytorch-cifar, and slimmable networks
(taoyang1122/MutualNet ``models/mobilenet_v1.py``), of which the widest is taken; Hugging Face's transformers
(``models/mobilenet_v1``), whose ``config.json`` beside the file is heeded; or else PyTorch's customs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convert.checkpoints.huggingface import beside
from convert.checkpoints.network import ActivationLayer, Convolution, Dense, Layer, Network, Norm, Pool
from convert.checkpoints.state_dict_layers import Module, state_layers
from convert.checkpoints.weights import Arrays
from convert.errors import CheckpointError
from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD, pads
from edge.bundles.architecture import BLOCKS, STEM_STRIDE

__all__ = ["read"]

_MOST_LINEAR: Final = 4
_COUNTERS: Final = ("num_batches_tracked", "n_averaged")
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


_TORCH: Final[Mapping[str, Any]] = {"padding": "symmetric", "bn_eps": 1e-5, "activation": "relu6"}
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
        layout="transformers",
        names=(r"(^|\.)conv_stem\.convolution\.", r"(^|\.)layer\.0\.convolution\."),
        config={"padding": "same", "bn_eps": 1e-3, "activation": "relu6", "mean": HALF_RANGE, "std": HALF_RANGE},
        first=r"(^|\.)conv_stem\.",
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


def read(path: Path, arrays: Arrays, *, is_ordered: bool, notes: Sequence[str] = ()) -> Network:
    """The network in a state dict.

    Args:
        path: Where it was read, for messages.
        arrays: The tensors by name.
        is_ordered: Whether they stand in the order of the layers; else their names tell it.
        notes: What was chosen when they were read.

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
    settings = {**custom.config, **beside(path, custom.layout)}
    found = state_layers(path, arrays, is_ordered=is_ordered, first=custom.first)
    convolutions, norms, linears = found.convolutions, found.norms, found.linears
    if not linears and len(convolutions) == (len(norms) or 1 + 2 * len(BLOCKS)) + 1:  # a classifier that is one
        name = next(reversed(convolutions))
        linears[name] = convolutions.pop(name)
    _check_counts(path, convolutions, norms, linears)
    layers: list[Layer] = []
    own: list[tuple[str, Module] | None] = [*norms.items()] or [None] * len(convolutions)
    for place, (name, layer), norm in zip(_places(convolutions), convolutions.items(), own, strict=True):
        layers += _unit(path, place, name, layer, norm, settings)
    layers.append(Pool(name="pool"))
    for number, (name, layer) in enumerate(linears.items(), start=1):
        weight = layer["weight"].reshape(layer["weight"].shape[:2])
        layers.append(Dense(name=name, weight=weight, bias=layer.get("bias")))
        layers += [ActivationLayer(name=f"{name}.relu", function="relu")] * (number < len(linears))
    bare = [name for name, one in linears.items() if "bias" not in one]
    if bare and custom.layout != "torch":  # whose classifiers have some
        raise CheckpointError(f"{path} lacks tensor '{bare[0]}.bias': it is not a whole network of {custom.layout}.")
    unbiased = tuple(f"layer '{name}' has no biases and is taken as trained without (bias=False)" for name in bare)
    between = ("between its linear layers the activation is taken for ReLU",) if len(linears) > 1 else ()
    return Network(
        layout=custom.layout,
        layers=tuple(layers),
        settings=settings,
        notes=(*notes, *found.notes, *filter(None, (custom.note,)), *between, *unbiased),
        has_known_pixels=True,
        has_background=custom.layout == "transformers",
    )


def _without_wrappers(arrays: Arrays) -> Arrays:
    """Without counters, and without what DataParallel and torch.compile put before every name."""
    kept = {name: values for name, values in arrays.items() if not name.endswith(_COUNTERS)}
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


def _check_counts(
    path: Path, convolutions: dict[str, Module], norms: dict[str, Module], linears: dict[str, Module]
) -> None:
    count = 1 + 2 * len(BLOCKS)
    if len(linears) > _MOST_LINEAR or (not linears and len(convolutions) != count):
        raise CheckpointError(
            f"{path} has {len(linears)} linear layers, {len(convolutions)} convolutions and {len(norms)} batch norms: "
            f"a MobileNet v1 has {count} convolutions with a batch norm each, and a classifier. A detector is another "
            "network."
        )
    if len(convolutions) not in (count, count + 1) or len(norms) not in (0, len(convolutions)):
        raise CheckpointError(
            f"{path} has {len(convolutions)} convolutions and {len(norms)} batch norms before its classifier: "
            f"MobileNet v1 has {count} of each, or {count + 1} with a head. This is another architecture, or a part of "
            "the state dict is missing."
        )
    bare = next((name for name, one in convolutions.items() if not norms and "bias" not in one), "")
    if bare:
        raise CheckpointError(
            f"{path}: layer '{bare}' has neither a batch norm nor biases: a part of the state dict is missing. Save "
            "all of it: torch.save(model.state_dict(), FILE)."
        )


def _places(convolutions: dict[str, Module]) -> list[str]:
    places = ["stem", *(f"blocks.{n}.{part}" for n in range(len(BLOCKS)) for part in (0, 1)), "head"]
    return places[: len(convolutions)]


def _unit(
    path: Path, place: str, name: str, layer: Module, norm: tuple[str, Module] | None, settings: Mapping[str, Any]
) -> list[Layer]:
    """One convolution, its batch norm, unless that was folded, and the activation."""
    weight, is_depthwise = layer["weight"], place.endswith(".0")
    stride = settings.get("stem_stride", STEM_STRIDE) if place == "stem" else 1
    stride = BLOCKS[int(place.split(".")[1])].stride if is_depthwise else stride
    return [
        Convolution(
            name=name,
            weight=weight,
            bias=layer.get("bias"),
            stride=stride,
            pads=pads(weight.shape[-1], stride, settings["padding"]),
            is_depthwise=is_depthwise and weight.shape[1] == 1,
        ),
        *([] if norm is None else [_norm(path, *norm, len(weight), settings)]),
        ActivationLayer(name=f"{name}.act", function=settings["activation"]),
    ]


def _norm(path: Path, name: str, norm: Module, channels: int, settings: Mapping[str, Any]) -> Norm:
    missing = {"running_var", "weight", "bias"} - set(norm)
    if missing or any(values.shape != (channels,) for values in norm.values()):
        odd = next((values.shape for values in norm.values() if values.shape != (channels,)), ())
        found = f"lacks {sorted(missing)[0]}" if missing else f"has {odd[0] if len(odd) == 1 else odd} channels"
        raise CheckpointError(f"{path}: batch norm '{name}' {found}, expected {channels} channels of all four.")
    return Norm(
        name=name,
        gamma=norm["weight"],
        beta=norm["bias"],
        mean=norm["running_mean"],
        variance=norm["running_var"],
        eps=settings["bn_eps"],
    )
