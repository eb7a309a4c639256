"""A file of weights without a configuration: the arrays' shapes, in the order of their making, tell the layers.

Activations, epsilon, padding and normalization are then those of Keras Applications.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from convert.checkpoints.keras.store import Store
from convert.checkpoints.network import (
    ActivationLayer,
    Affine,
    Array,
    Convolution,
    Dense,
    Layer,
    Network,
    Norm,
    Pool,
)
from convert.errors import CheckpointError
from edge.bundles.architecture import BLOCKS

__all__ = ["from_weights"]

_APPLICATIONS: Final = ("conv1", *(f"conv_{part}_{n + 1}" for n in range(len(BLOCKS)) for part in ("dw", "pw")))
"""The convolutions' names in Keras Applications."""
_CLASSIFIER: Final = "conv_preds"
_NORM: Final = ("gamma", "beta", "moving_mean", "moving_variance")
_PREPARING: Final = re.compile(r"(rescaling|normalization|lambda|tf[._])", re.IGNORECASE)
"""Keras' names for layers that turn pixels into what the first convolution takes."""
_CUSTOMS: Final = (
    "the file holds weights alone: ReLU6, SAME padding, eps 1e-3, a global average pool and a softmax are taken, as "
    "Keras Applications has them (if the network is another, save the whole model: model.save('model.keras'))"
)
_SAVE_WHOLE: Final = "save the whole model, model.save('model.keras')."
_Arrays = dict[str, Array]


def from_weights(path: Path, store: Store) -> Network:
    """The network in ``store``.

    Raises:
        CheckpointError: The arrays are not those of a MobileNet v1.
    """
    groups = _groups(path, store)
    depthwise: dict[str, _Arrays] = {}
    convolutions: dict[str, _Arrays] = {}
    dense: dict[str, _Arrays] = {}
    norms: dict[str, _Arrays] = {}
    layers: list[Layer] = []
    for name, arrays in groups.items():
        kernel = arrays.get("kernel", arrays.get("depthwise_kernel"))
        if kernel is None and set(arrays) >= {"mean", "variance"}:
            scale = 1 / np.sqrt(arrays["variance"].ravel().astype(np.float64))
            layers.append(Affine(name=name, scale=scale, shift=-arrays["mean"].ravel() * scale))
        elif kernel is None:
            if not set(arrays) & {"moving_mean", "moving_variance"}:
                raise CheckpointError(
                    f"{path} lacks array '{name}/kernel' ('{name}/{next(iter(arrays))}' is there): it is not a whole "
                    "Keras MobileNet v1."
                )
            norms[name] = arrays
        elif kernel.ndim not in (2, 4) or (kernel.ndim == 2 and name in _APPLICATIONS):
            raise CheckpointError(f"{path}: array '{name}/kernel' is {kernel.shape}, expected 4 dimensions.")
        elif kernel.ndim == 2:
            dense[name] = arrays
        elif "depthwise_kernel" in arrays or (
            kernel.shape[:2] == (3, 3) and kernel.shape[2] != 3 and kernel.shape[3] == 1
        ):
            depthwise[name] = arrays
        else:
            convolutions[name] = arrays
    convolutions = _in_order(convolutions)
    _check_counts(path, depthwise, convolutions, norms)
    _check_head(path, store, convolutions, dense)
    bodies = [next(iter(convolutions))]
    for first, second in zip(depthwise, list(convolutions)[1:], strict=False):
        bodies += [first, second]
    named = convolutions | depthwise
    for name, norm in zip(bodies, norms.items() if norms else [None] * len(bodies), strict=True):
        layers.append(_convolution(name, named[name], is_depthwise=name in depthwise, stride=_stride(layers)))
        layers += [] if norm is None else [_norm(path, *norm)]
        layers.append(ActivationLayer(name=f"{name}_relu", function="relu6"))
    layers.append(Pool(name="pool"))
    layers += [_convolution(name, arrays) for name, arrays in convolutions.items() if name not in bodies]
    for number, (name, arrays) in enumerate(dense.items(), start=1):
        layers.append(Dense(name=name, weight=arrays["kernel"].T, bias=arrays.get("bias")))
        layers += [ActivationLayer(name=f"{name}_relu", function="relu")] * (number < len(dense))
    last = dense or {name: arrays for name, arrays in convolutions.items() if name not in bodies}
    bare = [name for name, arrays in last.items() if "bias" not in arrays]
    if _CLASSIFIER in bare and set(_APPLICATIONS) <= set(groups):
        raise CheckpointError(f"{path} lacks array '{_CLASSIFIER}/bias': it is not a whole Keras MobileNet v1.")
    is_theirs = set(_APPLICATIONS) <= set(groups) and (not dense or _CLASSIFIER in groups)
    unbiased = [f"layer '{name}' has no biases and is taken as trained without (use_bias=False)" for name in bare]
    between = ["between its Dense layers the activation is taken for ReLU"] * (len(dense) > 1)
    notes = (*([] if is_theirs else [_CUSTOMS]), *between, *unbiased)
    has_known_pixels = is_theirs and not any(map(_PREPARING.match, store.layer_names()))
    return Network(layout="keras", layers=tuple(layers), notes=notes, has_known_pixels=has_known_pixels)


def _in_order(convolutions: dict[str, _Arrays]) -> dict[str, _Arrays]:
    """The stem first, which takes colours, and last what does not take the blocks' channels: a classifier."""
    stem = next((name for name, one in convolutions.items() if one["kernel"].shape[:3] == (3, 3, 3)), "")
    others = [name for name in convolutions if name != stem]
    if stem and others and convolutions[others[0]]["kernel"].shape[2] != convolutions[stem]["kernel"].shape[3]:
        others.append(others.pop(0))
    return {name: convolutions[name] for name in ([stem] if stem else []) + others}


def _check_head(path: Path, store: Store, convolutions: dict[str, _Arrays], dense: dict[str, _Arrays]) -> None:
    """Refuse what arrays alone do not tell: where a layer stands, and what is behind it."""
    maximum = next((name for name in store.layer_names() if name.startswith("global_max_pool")), "")
    if maximum:
        raise CheckpointError(
            f"{path}: layer '{maximum}' takes the maximum of the places: expected a global average pool. Use "
            "GlobalAveragePooling2D, and train the head again."
        )
    if dense and len(convolutions) > len(BLOCKS) + 1:
        raise CheckpointError(
            f"{path} holds weights without a configuration, with layer '{list(convolutions)[-1]}' between the body and "
            f"the Dense layers: {_SAVE_WHOLE}"
        )


def _groups(path: Path, store: Store) -> dict[str, _Arrays]:
    """The arrays of each layer by their names, the layers in order."""
    found: dict[str, _Arrays] = {}
    for name in _ordered(store):
        parent, _, leaf = name.removesuffix(":0").rpartition("/")
        if leaf.isdigit():
            found.setdefault(parent.removesuffix("/vars"), {})[leaf] = store.array(name)
        else:
            found.setdefault(parent.rpartition("/")[2], {})[leaf] = store.array(name)
    return {name: _by_name(arrays) for name, arrays in found.items()}


def _by_name(arrays: _Arrays) -> _Arrays:
    """Numbered arrays under the names that their shapes tell."""
    if not all(leaf.isdigit() for leaf in arrays):
        return arrays
    row = {int(leaf): values for leaf, values in arrays.items()}
    names: tuple[str, ...] = ("kernel", "bias") if any(values.ndim > 1 for values in row.values()) else _NORM
    if len(row) == 3 and min(row[number].ndim for number in sorted(row)[2:]) == 0:
        names = ("mean", "variance", "count")
    return {names[number]: row[number] for number in sorted(row) if number < len(names)}


def _ordered(store: Store) -> list[str]:
    """The arrays' paths in the order of the layers: as the file lists them, else by the numbers in their names."""
    listed = [f"{layer}/{name}" for layer in store.layer_names() for name in store.weight_names(layer)]
    if listed:
        return [name for name in listed if store.has(name)]

    def place(path: str) -> tuple[bool, list[int], list[tuple[int, str]]]:
        layer = path.split("/vars/")[0].rsplit("/", 1)[0] if "/vars/" not in path else path.split("/vars/")[0]
        number = re.search(r"_(\d+)(?=$|_bn$)", layer.rpartition("/")[2])
        parts = [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path)]
        return layer.endswith(_CLASSIFIER), [int(number[1])] if number else [0], parts

    return sorted(store.paths, key=place)


def _check_counts(
    path: Path, depthwise: dict[str, _Arrays], convolutions: dict[str, _Arrays], norms: dict[str, _Arrays]
) -> None:
    count = len(BLOCKS)
    missing = [name for name in _APPLICATIONS if name not in depthwise and name not in convolutions]
    if 0 < len(missing) < len(_APPLICATIONS) // 2:
        leaf = "depthwise_kernel" if missing[0].startswith("conv_dw") else "kernel"
        raise CheckpointError(f"{path} lacks array '{missing[0]}/{leaf}': it is not a whole Keras MobileNet v1.")
    if len(depthwise) != count or len(convolutions) not in (count + 1, count + 2):
        raise CheckpointError(
            f"{path} holds weights without a configuration, with {len(depthwise)} depthwise and {len(convolutions)} "
            f"other convolutions: a MobileNet v1 has {count} and {count + 1}. If it is one with other layers around, "
            "save the whole model: model.save('model.keras')."
        )
    if len(norms) not in (0, 2 * count + 1):
        raise CheckpointError(
            f"{path} has {len(norms)} batch norms for {2 * count + 1} convolutions: save the whole model, "
            "model.save('model.keras'), so that its configuration says where they belong."
        )


def _stride(layers: list[Layer]) -> int:
    """Of the next convolution, by how many there are before it."""
    done = sum(isinstance(layer, Convolution) for layer in layers)
    return 2 if done == 0 else BLOCKS[(done - 1) // 2].stride if done % 2 else 1


def _convolution(name: str, arrays: _Arrays, *, is_depthwise: bool = False, stride: int = 1) -> Convolution:
    kernel = arrays["depthwise_kernel"] if "depthwise_kernel" in arrays else arrays["kernel"]
    order = (2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)
    weight = kernel.transpose(order)
    weight = weight.reshape(-1, 1, *weight.shape[2:]) if is_depthwise else weight
    return Convolution(name=name, weight=weight, bias=arrays.get("bias"), stride=stride, is_depthwise=is_depthwise)


def _norm(path: Path, name: str, arrays: _Arrays) -> Norm:
    for leaf in _NORM:
        if leaf not in arrays:
            raise CheckpointError(
                f"{path} lacks array '{name}/{leaf}' ({len(arrays)} of 4 are there): it is not a whole Keras MobileNet "
                f"v1. If it was trained without (scale=False, center=False), {_SAVE_WHOLE}"
            )
    gamma, beta, mean, variance = (arrays[leaf] for leaf in _NORM)
    return Norm(name=name, gamma=gamma, beta=beta, mean=mean, variance=variance, eps=1e-3)
