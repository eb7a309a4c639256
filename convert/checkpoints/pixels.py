"""What a network takes for pixels: by the layers before its first convolution, else by the custom of its writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from convert.checkpoints.network import Affine, Array, ChannelOrder, Convolution, Layer, Network, Norm
from convert.errors import CheckpointError
from convert.model import HALF_RANGE, IMAGENET_MEAN, IMAGENET_STD
from edge.vision.preprocess import ColourOrder

__all__ = ["in_picture_order", "pixel_settings"]

_NEAR: Final = 1.5
"""How far means may be from ImageNet's: there are several."""
_LARGE: Final = 20.0
"""What networks that normalize pixels hardly compute with."""
_TURNED: Final = (
    "it turns the channels around itself, so pictures are given to it as RGB: if it was made for OpenCV's BGR, set "
    "the colour order"
)


def pixel_settings(
    path: Path, network: Network, layers: tuple[Layer, ...], channels: int, *, is_turned: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Mean, deviation and colour order, with the network's other settings, and notes on what was assumed.

    ``layers`` turn pixels x into x * scale + shift, so the mean is -shift / scale and the deviation 1 / scale. Where
    these are below 2, the pixels are 0 to 1 and not 0 to 255; unless means are subtracted that only the latter have, or
    the network takes bytes. Means that are ImageNet's of blue, green and red say that it takes them in this order.

    Args:
        path: For messages.
        network: Whose settings they are.
        layers: Those before its first convolution.
        channels: Of its pictures.
        is_turned: Whether the network turns red, green and blue around before the first convolution.
    """
    order: ColourOrder = "GRAY" if channels == 1 else network.settings.get("colour_order", "RGB")
    if not layers and not network.takes_bytes:
        mean, std = (network.settings.get(name, HALF_RANGE)[:channels] for name in ("mean", "std"))
        ends = [f"{(end - mean[0]) / std[0]:.3g}" for end in (0, 255)]
        note = f"the file does not say what its pixels are: taken as {ends[0]} to {ends[1]}"
        assumed = [note] * (not network.has_known_pixels) + [_TURNED] * (is_turned and channels > 1)
        return {**network.settings, "mean": mean, "std": std, "colour_order": order}, tuple(assumed)
    scale: Array = np.ones(channels)
    shift: Array = np.zeros(channels)
    for layer in layers:
        if isinstance(layer, Norm):
            own = layer.as_affine()
        elif isinstance(layer, Affine):
            own = layer.scale, layer.shift
        else:
            raise CheckpointError(f"{path}: layer '{layer.name}' stands before the first convolution: unknown there.")
        try:
            scale, shift = scale * own[0], shift * own[0] + own[1]
        except ValueError as reason:
            raise CheckpointError(f"{path}: layer '{layer.name}' does not have {channels} channels.") from reason
    if not (np.isfinite(scale).all() and np.isfinite(shift).all() and (scale > 0).all() and len(scale) == channels):
        raise CheckpointError(
            f"{path}: layer '{layers[0].name}' multiplies pixels by {scale.tolist()}: expected numbers above 0."
        )
    if _undoes_imagenet(scale, shift):
        note = "it turns pixels normalized by ImageNet's mean and deviation into -1 to 1: they are made -1 to 1 at once"
        return {**network.settings, "mean": HALF_RANGE, "std": HALF_RANGE, "colour_order": order}, (note,)
    mean, std = -shift / scale, 1 / scale
    unit = 255.0 if std.max() < 2 and np.abs(mean).max() <= 2 and not network.takes_bytes else 1.0
    notes = ["its normalization is for pixels of 0 to 1"] * (unit != 1)
    if channels == len(IMAGENET_MEAN) and np.abs(mean * unit - IMAGENET_MEAN[::-1]).max() < _NEAR:
        order = "BGR"
        notes.append("its means are ImageNet's of blue, green and red: pictures are given to it in this order")
    elif is_turned and channels > 1 and not np.abs(mean * unit - IMAGENET_MEAN[:channels]).max() < _NEAR:
        notes.append(_TURNED)
    largest = float(np.abs((255.0 / unit - mean) / std).max())
    if largest > _LARGE and std.max() > 1 and not network.takes_bytes:
        notes.append(f"its normalization is taken for pixels of 0 to 255, which become numbers up to {largest:.3g}")
    rounded = [tuple(round(float(v) * unit, 6) + 0.0 for v in values) for values in (mean, std)]
    return {**network.settings, "mean": rounded[0], "std": rounded[1], "colour_order": order}, tuple(notes)


def _undoes_imagenet(scale: Array, shift: Array) -> bool:
    """Whether pixels that were normalized by ImageNet's mean and deviation become -1 to 1, as torchvision does it."""
    if len(scale) != len(IMAGENET_MEAN):
        return False
    wanted = np.array(IMAGENET_STD) / HALF_RANGE, (np.array(IMAGENET_MEAN) - HALF_RANGE) / HALF_RANGE
    return all(np.allclose(found, other, atol=2e-3) for found, other in zip((scale, shift), wanted, strict=True))


def in_picture_order(layers: tuple[Layer, ...], orders: Sequence[ChannelOrder]) -> tuple[Layer, ...]:
    """The layers with the first convolution's weights in the order of the picture's channels, which is the same sum."""
    place = next((n for n, layer in enumerate(layers) if isinstance(layer, Convolution)), None)
    if place is None:
        return layers
    conv = layers[place]
    assert isinstance(conv, Convolution)
    for order in reversed(orders):
        if conv.weight.ndim != 4 or conv.weight.shape[1] != len(order.source):
            break  # the weights' shape is refused by the layer's name
        weight = np.zeros((len(conv.weight), order.channels, *conv.weight.shape[2:]), conv.weight.dtype)
        for number, source in enumerate(order.source):
            weight[:, source] += conv.weight[:, number]
        conv = replace(conv, weight=weight)
    return (*layers[:place], conv, *layers[place + 1 :])
