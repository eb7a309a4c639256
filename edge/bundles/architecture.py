"""MobileNet v1 as data: the body of Table 1 (arXiv 1704.04861), its mult-adds and its parameters.

One departure from the printed table: the last depthwise layer has stride 1. The table says "s2" beside a 7x7
output, which only stride 1 gives; TF-slim's ``_CONV_DEFS`` and Keras use 1 as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from edge.errors import VariantError

__all__ = ["BLOCKS", "STEM_FILTERS", "STEM_STRIDE", "Block", "LayerCosts", "costs", "positions", "scaled"]


@dataclass(frozen=True, slots=True)
class Block:
    """One depthwise-separable block: a 3x3 depthwise layer, then a 1x1 pointwise layer."""

    stride: int
    """Stride of the depthwise layer."""
    filters: int
    """Output channels of the pointwise layer at α = 1."""


STEM_FILTERS: Final = 32
STEM_STRIDE: Final = 2
BLOCKS: Final = (
    Block(1, 64),
    Block(2, 128),
    Block(1, 128),
    Block(2, 256),
    Block(1, 256),
    Block(2, 512),
    *(Block(1, 512),) * 5,
    Block(2, 1024),
    Block(1, 1024),
)


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """A count per kind of layer: of mult-adds for one image, or of parameters."""

    stem: int
    depthwise: int
    pointwise: int
    classifier: int

    @property
    def total(self) -> int:
        """The sum over all kinds."""
        return self.stem + self.depthwise + self.pointwise + self.classifier


def scaled(filters: int, alpha: float) -> int:
    """Channels left of ``filters`` at width ``alpha``, rounded down as Keras and TF-slim do, at least one."""
    return max(1, int(filters * alpha))


def positions(resolution: int) -> int:
    """Places in the output of every convolution together, of all channels counted once."""
    side = resolution // STEM_STRIDE
    total = side * side
    for block in BLOCKS:
        side //= block.stride
        total += 2 * side * side
    return total


def costs(alpha: float, resolution: int, classes: int) -> tuple[LayerCosts, LayerCosts]:
    """Exact mult-adds for one image, and parameters with batch norm's gamma and beta.

    Args:
        alpha: Width multiplier, greater than 0.
        resolution: Input height and width in pixels, a multiple of 32.
        classes: Outputs of the classifier.

    Returns:
        The mult-adds and the parameters, each by kind of layer.

    Raises:
        VariantError: No network has this width or resolution.
    """
    if not (math.isfinite(alpha) and alpha > 0) or resolution <= 0 or resolution % 32 or classes < 1:
        raise VariantError(
            f"No MobileNet v1 has α={alpha}, ρ={resolution} and {classes} classes: "
            "α must be positive, ρ a multiple of 32, and there must be a class."
        )
    side, channels = resolution // STEM_STRIDE, scaled(STEM_FILTERS, alpha)
    stem_macs, stem_params = side * side * 27 * channels, 27 * channels + 2 * channels
    depthwise_macs = depthwise_params = pointwise_macs = pointwise_params = 0
    for block in BLOCKS:
        side //= block.stride
        out = scaled(block.filters, alpha)
        depthwise_macs += side * side * 9 * channels
        depthwise_params += 9 * channels + 2 * channels
        pointwise_macs += side * side * channels * out
        pointwise_params += channels * out + 2 * out
        channels = out
    return (
        LayerCosts(stem_macs, depthwise_macs, pointwise_macs, channels * classes),
        LayerCosts(stem_params, depthwise_params, pointwise_params, channels * classes + classes),
    )
