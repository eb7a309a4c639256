"""What a network takes for pixels: by the layers before its first convolution, else by the custom of its writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from convert.checkpoints.network import Affine, Array, Layer, Network, Norm
from convert.errors import CheckpointError
from convert.model import HALF_RANGE
from edge.vision.preprocess import ColourOrder

__all__ = ["pixel_settings"]


def pixel_settings(
    path: Path, network: Network, layers: tuple[Layer, ...], channels: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Mean, deviation and colour order, with the network's other settings, and notes on what was assumed.

    ``layers`` turn pixels x into x * scale + shift, so the mean is -shift / scale and the deviation 1 / scale. Where
    these are below 2, the pixels are 0 to 1 and not 0 to 255; unless means are subtracted that only the latter have.
    """
    order: ColourOrder = "GRAY" if channels == 1 else network.settings.get("colour_order", "RGB")
    if not layers:
        mean, std = (network.settings.get(name, HALF_RANGE)[:channels] for name in ("mean", "std"))
        ends = [f"{(end - mean[0]) / std[0]:.3g}" for end in (0, 255)]
        note = f"the file does not say what its pixels are: taken as {ends[0]} to {ends[1]}"
        notes = () if network.has_known_pixels else (note,)
        return {**network.settings, "mean": mean, "std": std, "colour_order": order}, notes
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
    mean, std = -shift / scale, 1 / scale
    unit = 255.0 if std.max() < 2 and np.abs(mean).max() <= 2 else 1.0
    notes = ("its normalization is for pixels of 0 to 1",) if unit != 1 else ()
    rounded = [tuple(round(float(v) * unit, 6) + 0.0 for v in values) for values in (mean, std)]
    return {**network.settings, "mean": rounded[0], "std": rounded[1], "colour_order": order}, notes
