"""One place that turns a row of layers into a MobileNet v1: the body found by its shapes, the head by its layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from convert.checkpoints.head import Head, read_head
from convert.checkpoints.network import (
    ActivationLayer,
    Affine,
    Array,
    ChannelOrder,
    Convolution,
    Dense,
    Layer,
    Network,
    Norm,
    Pads,
    Pool,
    ZeroPadding,
)
from convert.checkpoints.pixels import in_picture_order, pixel_settings
from convert.checkpoints.weights import FILTERS, Arrays, Weights, width_multiplier
from convert.errors import CheckpointError
from convert.model import ModelConfig, Padding, pads
from edge.bundles.architecture import BLOCKS

__all__ = ["assembled"]

_PLACES: Final = ("stem", *(f"blocks.{n}.{part}" for n in range(len(BLOCKS)) for part in (0, 1)))
"""Where the convolutions of a MobileNet v1 go, in order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Unit:
    """A convolution with what stands around it."""

    conv: Convolution
    pads: Pads
    norm: Norm | None = None
    """If there is one, and nothing else of the kind."""
    scale: Array | None = None
    shift: Array | None = None
    """What is left of other normalizations, or of none."""
    function: str = ""


def assembled(path: Path, network: Network) -> Weights:
    """The network under this package's names.

    Args:
        path: Where it was read, for messages.
        network: Its layers.

    Raises:
        CheckpointError: It is not a MobileNet v1, or one of a kind that this package does not run.
    """
    first = next((n for n, one in enumerate(network.layers) if isinstance(one, (Convolution, ZeroPadding))), None)
    if first is None:
        raise CheckpointError(f"{path} has no convolution: expected a MobileNet v1.")
    before = tuple(layer for layer in network.layers[:first] if not isinstance(layer, ChannelOrder))
    orders = [layer for layer in network.layers[:first] if isinstance(layer, ChannelOrder)]
    body, head_layers = _parted(in_picture_order(network.layers[first:], orders))
    units, head_layers = _linear_last(list(_units(path, body)), head_layers)
    _check_shapes(path, units)
    channels = units[0].conv.weight.shape[1]
    settings, notes = pixel_settings(path, network, before, channels, is_turned=bool(orders))
    head = read_head(path, head_layers, len(units[-1].conv.weight), _side(network, units))
    tensors: Arrays = {}
    bn_eps = next((unit.norm.eps for unit in units if unit.norm), network.settings.get("bn_eps", 1e-3))
    for place, unit in zip((*_PLACES, "head"), units, strict=False):
        tensors.update(_tensors(path, place, unit, bn_eps))
    tensors.update(head.tensors)
    config = _config(path, network, units, head, settings | {"bn_eps": bn_eps})
    return Weights(
        layout=network.layout,
        config=config,
        tensors=tensors,
        note="; ".join((*network.notes, *notes, *head.notes)),
        resolution=network.resolution if head.side is None else head.side * math.prod(u.conv.stride for u in units),
        is_headless=head.is_missing,
    ).without_background(network.has_background)


def _parted(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """The layers up to the pool, and those from it on. What has no pool ends behind its last activation."""
    kinds = (Convolution, Norm, Affine, ActivationLayer, ZeroPadding)
    end = next((n for n, layer in enumerate(layers) if not isinstance(layer, kinds)), len(layers))
    return layers[:end], layers[end:]


def _linear_last(units: list[_Unit], head: tuple[Layer, ...]) -> tuple[list[_Unit], tuple[Layer, ...]]:
    """A 1x1 layer with nothing behind it but the pool goes behind the pool: means and it can change places."""
    last = units[-1] if len(units) == len(_PLACES) + 1 else None
    is_linear = last is not None and not last.function and last.norm is None and last.scale is None
    if (
        last is None
        or not is_linear
        or last.conv.weight.shape[2:] != (1, 1)
        or not (head and isinstance(head[0], Pool))
    ):
        return units, head
    dense = Dense(name=last.conv.name, weight=last.conv.weight[:, :, 0, 0], bias=last.conv.bias)
    return units[:-1], (head[0], dense, *head[1:])


def _units(path: Path, layers: tuple[Layer, ...]) -> Iterator[_Unit]:
    around: Pads | None = None
    unit: _Unit | None = None
    for layer in layers:
        if isinstance(layer, (Convolution, ZeroPadding)):
            if unit is not None:
                yield unit
            unit = None
        if isinstance(layer, ZeroPadding):
            around = layer.pads if around is None else tuple(a + b for a, b in zip(around, layer.pads, strict=True))  # type: ignore[assignment]
        elif isinstance(layer, Convolution):
            unit, around = _Unit(conv=layer, pads=_around(layer, around)), None
        elif unit is None or unit.function:
            raise CheckpointError(
                f"{path}: layer '{layer.name}' does not stand behind a convolution: MobileNet v1 has a convolution, "
                "batch norm and an activation, in this order."
            )
        elif isinstance(layer, ActivationLayer):
            unit = replace(unit, function=layer.function)
        else:
            try:
                unit = _normed(unit, layer)
            except ValueError as reason:
                raise _odd_norm(path, unit, str(reason)[:80]) from reason
    if unit is not None:
        yield unit


def _around(conv: Convolution, explicit: Pads | None) -> Pads:
    own = pads(conv.weight.shape[-1], conv.stride, "same") if conv.pads is None else conv.pads
    return own if explicit is None else tuple(a + b for a, b in zip(own, explicit, strict=True))  # type: ignore[return-value]


def _normed(unit: _Unit, layer: Layer) -> _Unit:
    if isinstance(layer, Norm):
        if unit.norm is None and unit.scale is None:
            return replace(unit, norm=layer)
        return _scaled(unit, *layer.as_affine())
    assert isinstance(layer, Affine)
    return _scaled(unit, layer.scale, layer.shift)


def _scaled(unit: _Unit, scale: Array, shift: Array) -> _Unit:
    channels = len(unit.conv.weight)
    own_scale: Array = np.ones(channels) if unit.scale is None else unit.scale
    own_shift: Array = np.zeros(channels) if unit.shift is None else unit.shift
    if unit.norm is not None:
        own_scale, own_shift = unit.norm.as_affine()
    return replace(unit, norm=None, scale=own_scale * scale, shift=own_shift * scale + shift)


def _check_shapes(path: Path, units: list[_Unit]) -> None:
    count, channels = len(units), 0
    if count not in (len(_PLACES), len(_PLACES) + 1):
        raise CheckpointError(
            f"{path} has {count} convolutions before its pool: a MobileNet v1 has 27, or 28 with a 1x1 layer before "
            "the pool. This is another architecture."
        )
    for place, unit in zip((*_PLACES, "head"), units, strict=False):
        name, shape = unit.conv.name, unit.conv.weight.shape
        is_depthwise = place.endswith(".0")
        if is_depthwise and unit.conv.is_depthwise and shape[0] != channels and shape[0] % channels == 0:
            raise CheckpointError(
                f"{path}: layer '{name}' has depth multiplier {shape[0] // channels}: only 1 is supported. Build the "
                "network with depth_multiplier=1 and train it again."
            )
        side = 3 if is_depthwise or place == "stem" else 1
        taken = 1 if is_depthwise else channels
        wanted = (channels if is_depthwise else shape[0], taken, side, side)
        if place == "stem":
            wanted = (shape[0], 1 if shape[1] == 1 else 3, 3, 3)
        if shape != wanted or unit.conv.is_depthwise != is_depthwise:
            raise CheckpointError(
                f"{path}: the weights of layer '{name}' are {shape}, expected {wanted} ({place}): this is not a "
                "MobileNet v1, or one that was changed."
            )
        channels = shape[0]


def _side(network: Network, units: list[_Unit]) -> int | None:
    """The side of the picture before the pool, where the file says what it takes."""
    if network.resolution is None:
        return None
    side = network.resolution
    for unit in units:
        side = -(-side // unit.conv.stride)
    return side


def _tensors(path: Path, place: str, unit: _Unit, bn_eps: float) -> Iterator[tuple[str, Any]]:
    """One convolution and a batch norm; a bias goes into the norm, and no norm becomes one that changes nothing."""
    channels = len(unit.conv.weight)
    bias = np.zeros(channels) if unit.conv.bias is None else unit.conv.bias
    if bias.shape != (channels,):
        raise CheckpointError(
            f"{path}: the bias of layer '{unit.conv.name}' is {bias.shape}, expected {channels} channels."
        )
    if unit.norm is not None:
        norm = unit.norm
        shapes = [values.shape for values in (norm.gamma, norm.beta, norm.mean, norm.variance)]
        if any(shape != (channels,) for shape in shapes):
            raise _odd_norm(path, unit, str(next(shape for shape in shapes if shape != (channels,))))
        gain = np.sqrt((norm.variance + bn_eps) / (norm.variance + norm.eps)) if norm.eps != bn_eps else 1.0
        found = {"weight": norm.gamma * gain, "bias": norm.beta, "running_var": norm.variance}
        found["running_mean"] = norm.mean - bias
    else:
        scale = np.ones(channels) if unit.scale is None else unit.scale
        shift = 0.0 if unit.shift is None else unit.shift
        found = {"weight": scale, "bias": bias * scale + shift, "running_mean": np.zeros(channels)}
        found["running_var"] = np.full(channels, 1 - bn_eps)
    yield f"{place}.conv.weight", unit.conv.weight
    for name, values in found.items():
        flat = np.asarray(values, np.float32)
        if flat.shape != (channels,):
            raise _odd_norm(path, unit, str(flat.shape))
        yield f"{place}.bn.{name}", flat


def _odd_norm(path: Path, unit: _Unit, found: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: the normalization behind layer '{unit.conv.name}' is {found}, expected {len(unit.conv.weight)} "
        "channels."
    )


def _config(path: Path, network: Network, units: list[_Unit], head: Head, settings: dict[str, Any]) -> ModelConfig:
    body = units[: len(_PLACES)]
    widths = tuple(len(unit.conv.weight) for place, unit in zip(_PLACES, body, strict=True) if not place.endswith(".0"))
    found = width_multiplier(widths)
    if found is None:
        raise CheckpointError(
            f"{path} has layers of {', '.join(map(str, widths))} channels: MobileNet v1 has "
            f"{', '.join(map(str, FILTERS))} times one α. A network pruned channel by channel is another architecture."
        )
    strides = [unit.conv.stride for unit in body]
    if strides[1:] != [n for block in BLOCKS for n in (block.stride, 1)] or strides[0] not in (1, 2):
        raise CheckpointError(f"{path} has strides {strides}, which are not those of a MobileNet v1.")
    return ModelConfig(
        **{
            **settings,
            "alpha": found[0],
            "rounding": found[1],
            "classes": head.classes,
            "hidden": head.hidden,
            "head": len(units[-1].conv.weight) if len(units) > len(_PLACES) else 0,
            "stem_stride": strides[0],
            "activation": _function(path, units),
            "padding": _padding(path, units),
        }
    )


def _function(path: Path, units: list[_Unit]) -> Any:
    for unit in units:
        function = unit.function or "linear"
        if function not in ("relu", "relu6"):
            raise CheckpointError(
                f"{path}: the activation behind layer '{unit.conv.name}' is {function}: expected ReLU6 or ReLU. "
                "Networks with other activations are not MobileNet v1."
            )
        if function != units[0].function:
            raise CheckpointError(
                f"{path}: the activation behind layer '{unit.conv.name}' is {function}, behind '{units[0].conv.name}' "
                f"{units[0].function}: expected the same everywhere."
            )
    return units[0].function


def _padding(path: Path, units: list[_Unit]) -> Padding:
    def fits(unit: _Unit, padding: Padding) -> bool:
        return unit.pads == pads(unit.conv.weight.shape[-1], unit.conv.stride, padding)

    options: tuple[Padding, ...] = ("same", "symmetric")
    for padding in options:
        if all(fits(unit, padding) for unit in units):
            return padding
    odd = next((unit for unit in units if not any(fits(unit, padding) for padding in options)), None)
    if odd is None:
        raise CheckpointError(f"{path} pads some layers as TensorFlow does and others as PyTorch: expected one way.")
    raise CheckpointError(
        f"{path}: layer '{odd.conv.name}' pads its input by {odd.pads} (left, right, top, bottom), expected "
        "TensorFlow's SAME or one zero on each side."
    )
