"""The networks that the paper compares MobileNet with: the same body in full convolutions, and a shallow one."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

from convert.model import ConvUnit, ModelConfig
from edge.bundles.architecture import BLOCKS

__all__ = ["SHALLOW", "Body", "separable"]

SHALLOW: Final = (*BLOCKS[:6], *BLOCKS[11:])
"""The paper's section 4.1: without the five blocks of 14x14x512."""


class Body(nn.Module):
    """A stem, blocks and a classifier, as MobileNet has them, of other blocks or in full convolutions.

    Normalized pictures (batch, 3, ρ, ρ) in, logits (batch, classes) out.
    """

    def __init__(self, config: ModelConfig, *, is_shallow: bool = False, is_separable: bool = True) -> None:
        """Build it.

        Args:
            config: Width, classes and the rest.
            is_shallow: Whether the five alike blocks in the middle are left out.
            is_separable: Whether a block is a depthwise and a pointwise layer, or one full 3x3 convolution.
        """
        super().__init__()
        channels = config.widths[0]
        layers: list[nn.Module] = [ConvUnit(config, 3, channels, kernel=3, stride=config.stem_stride, groups=1)]
        for block in SHALLOW if is_shallow else BLOCKS:
            out = config.width(block.filters)
            if is_separable:
                layers.append(separable(config, channels, out, block.stride))
            else:
                layers.append(ConvUnit(config, channels, out, kernel=3, stride=block.stride, groups=1))
            channels = out
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        features: Tensor = self.layers(x)
        return self.classifier(features.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def separable(config: ModelConfig, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """One depthwise-separable layer."""
    return nn.Sequential(
        ConvUnit(config, inputs, inputs, kernel=3, stride=stride, groups=inputs),
        ConvUnit(config, inputs, outputs, kernel=1, stride=1, groups=1),
    )
