"""MobileNet v1 in torch, exactly as the paper's Table 1, with what checkpoints differ in as configuration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from edge.architecture import BLOCKS, STEM_FILTERS, STEM_STRIDE, scaled
from edge.errors import CheckpointError

__all__ = ["Activation", "ConvUnit", "MobileNetV1", "ModelConfig", "Padding"]

Padding = Literal["same", "symmetric"]
Activation = Literal["relu6", "relu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What one MobileNet v1 checkpoint needs to be computed as it was trained."""

    alpha: float = 1.0
    """Width multiplier α, greater than 0."""
    classes: int = 1000
    """Outputs of the classifier."""
    padding: Padding = "same"
    """``same`` pads stride 2 by (0, 1) as TensorFlow does, ``symmetric`` by (1, 1) as PyTorch does."""
    activation: Activation = "relu6"
    bn_eps: float = 1e-3
    """Added to batch norm's variance: 1e-3 in TensorFlow, 1e-5 in timm."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise CheckpointError(f"Width multiplier {self.alpha} cannot be: α must be greater than 0.")
        if self.classes < 1:
            raise CheckpointError(f"A classifier of {self.classes} classes cannot be: expected one or more.")
        if self.padding not in get_args(Padding) or self.activation not in get_args(Activation):
            raise CheckpointError(
                f"No MobileNet v1 has padding '{self.padding}' and activation '{self.activation}': "
                f"expected one of {get_args(Padding)} and one of {get_args(Activation)}."
            )
        if not (math.isfinite(self.bn_eps) and self.bn_eps > 0):
            raise CheckpointError(f"Batch norm cannot use eps {self.bn_eps}: expected a small positive number.")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        return asdict(self)


class ConvUnit(nn.Module):
    """A convolution without bias, batch norm and the activation: every layer but the classifier."""

    def __init__(self, config: ModelConfig, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=config.bn_eps)
        self.act = nn.ReLU6(inplace=True) if config.activation == "relu6" else nn.ReLU(inplace=True)
        self.pads = pads(kernel, stride, config.padding)

    def forward(self, x: Tensor) -> Tensor:
        """Filter (batch, channels, height, width)."""
        if any(self.pads):
            x = functional.pad(x, self.pads)
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class MobileNetV1(nn.Module):
    """The network: normalized RGB (batch, 3, ρ, ρ) in, logits (batch, classes) out, ρ a multiple of 32.

    One set of weights serves every resolution.

    >>> model = MobileNetV1(ModelConfig(alpha=0.25, classes=10)).eval()
    >>> model(torch.zeros(1, 3, 128, 128)).shape
    torch.Size([1, 10])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = scaled(STEM_FILTERS, config.alpha)
        self.stem = ConvUnit(config, 3, channels, kernel=3, stride=STEM_STRIDE, groups=1)
        blocks = []
        for block in BLOCKS:
            out = scaled(block.filters, config.alpha)
            depthwise = ConvUnit(config, channels, channels, kernel=3, stride=block.stride, groups=channels)
            pointwise = ConvUnit(config, channels, out, kernel=1, stride=1, groups=1)
            blocks.append(nn.Sequential(depthwise, pointwise))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3, ρ, ρ)."""
        features: Tensor = self.blocks(self.stem(x))
        return self.classifier(features.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def pads(kernel: int, stride: int, padding: Padding) -> tuple[int, int, int, int]:
    """Zeros before and after each axis: (left, right, top, bottom).

    TensorFlow's SAME splits ``kernel - stride`` zeros so that the odd one comes last; that holds for inputs whose
    size the stride divides, which every layer has when ρ is a multiple of 32.
    """
    total = kernel - stride if padding == "same" else 2 * (kernel // 2)
    before = total // 2
    return (before, total - before) * 2
