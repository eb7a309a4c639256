"""MobileNet v1 in torch, exactly as the paper's Table 1, with what checkpoints differ in as configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from convert.errors import CheckpointError
from edge.bundles.architecture import BLOCKS, STEM_FILTERS, STEM_STRIDE, scaled
from edge.vision.preprocess import ColourOrder, channels_of

__all__ = [
    "HALF_RANGE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Activation",
    "ConvUnit",
    "HiddenLayer",
    "MobileNetV1",
    "ModelConfig",
    "Padding",
    "Rounding",
    "pads",
]

Padding = Literal["same", "symmetric"]
Activation = Literal["relu6", "relu"]
Rounding = Literal["floor", "floor_8", "multiple_8"]
PerChannel = tuple[float, ...]
HiddenLayer = tuple[int, Activation]
"""Outputs of a fully connected layer, and the activation behind it."""
HALF_RANGE: Final[PerChannel] = (127.5, 127.5, 127.5)
"""Mean and deviation that turn pixels of 0 to 255 into -1 to 1."""
IMAGENET_MEAN: Final[PerChannel] = (123.675, 116.28, 103.53)
"""Of ImageNet's pixels, red, green and blue: what PyTorch's examples subtract, times 255."""
IMAGENET_STD: Final[PerChannel] = (58.395, 57.12, 57.375)


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
    """Added to batch norm's variance: 1e-3 in TensorFlow, 1e-5 in PyTorch and timm."""
    rounding: Rounding = "floor"
    """What becomes of a width times α: ``floor`` as in Keras, ``floor_8`` no less than 8 as in TF-slim,
    ``multiple_8`` the nearest multiple of 8, no less than 90 %, as in timm."""
    head: int = 0
    """Filters of a 1x1 layer between the last block and the pool, as timm's ``mobilenetv1_100h`` has; 0 for none."""
    hidden: tuple[HiddenLayer, ...] = ()
    """The fully connected layers between the pool and the classifier."""
    stem_stride: int = STEM_STRIDE
    """1 in networks for pictures of 32x32, as CIFAR's."""
    mean: PerChannel = HALF_RANGE
    """Subtracted from pixels of 0 to 255, in ``colour_order``."""
    std: PerChannel = HALF_RANGE
    """Divides what is left."""
    colour_order: ColourOrder = "RGB"
    """``GRAY`` for networks of one channel, whose mean and deviation are one number each."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise CheckpointError(f"invalid width multiplier {self.alpha}: α must be greater than 0.")
        if self.classes < 1 or any(width < 1 for width, _ in self.hidden):
            raise CheckpointError(
                f"invalid classifier of {self.classes} classes behind layers of {[w for w, _ in self.hidden]}: "
                "expected one or more of each."
            )
        chosen = [(name, kind, getattr(self, name)) for name, kind in _CHOICES.items()]
        for name, kind, value in (*chosen, *(("activation", Activation, function) for _, function in self.hidden)):
            if value not in get_args(kind):
                raise CheckpointError(f"invalid {name} '{value}': expected one of {', '.join(get_args(kind))}.")
        if not (math.isfinite(self.bn_eps) and self.bn_eps > 0):
            raise CheckpointError(f"invalid batch norm eps {self.bn_eps}: expected a small positive number.")
        if self.head < 0 or self.stem_stride not in (1, 2):
            raise CheckpointError(
                f"invalid head of {self.head} filters or stem of stride {self.stem_stride}: expected 0 or more, and "
                "1 or 2."
            )
        values = (*self.mean, *self.std)
        if {len(self.mean), len(self.std)} != {self.channels} or not all(map(math.isfinite, values)):
            raise CheckpointError(
                f"invalid mean {self.mean} and deviation {self.std}: {self.colour_order} takes {self.channels} "
                f"number{'s' * (self.channels > 1)} of each."
            )
        if min(self.std) <= 0:
            raise CheckpointError(f"invalid deviation {self.std}: expected numbers greater than 0.")

    @property
    def channels(self) -> int:
        """Of the pictures: 3, or 1 for ``GRAY``."""
        return channels_of(self.colour_order)

    def width(self, filters: int) -> int:
        """Channels that a layer of ``filters`` at α = 1 has."""
        if self.rounding != "multiple_8":
            return max(scaled(filters, self.alpha), 8 if self.rounding == "floor_8" else 1)
        real = filters * self.alpha
        nearest = max(8, int(real + 4) // 8 * 8)
        return nearest if nearest >= 0.9 * real else nearest + 8

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels behind the stem and behind each block."""
        return tuple(self.width(filters) for filters in (STEM_FILTERS, *(block.filters for block in BLOCKS)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The configuration that :meth:`to_dict` gave.

        Raises:
            CheckpointError: It is impossible.
            TypeError: There is a value of another name or kind.
        """
        tuples: dict[str, Any] = {name: tuple(values[name]) for name in ("mean", "std") if name in values}
        if "hidden" in values:
            tuples["hidden"] = tuple((int(width), str(function)) for width, function in values["hidden"])
        return cls(**{**values, **tuples})

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        return asdict(self)


_CHOICES: Final[Mapping[str, Any]] = {
    "padding": Padding,
    "activation": Activation,
    "rounding": Rounding,
    "colour_order": ColourOrder,
}


def _function(activation: Activation) -> nn.Module:
    return nn.ReLU6(inplace=True) if activation == "relu6" else nn.ReLU(inplace=True)


class ConvUnit(nn.Module):
    """A convolution without bias, batch norm and the activation: every layer but the classifier."""

    def __init__(self, config: ModelConfig, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=config.bn_eps)
        self.act = _function(config.activation)
        self.pads = pads(kernel, stride, config.padding)

    def forward(self, x: Tensor) -> Tensor:
        """Filter (batch, channels, height, width)."""
        if any(self.pads):
            x = functional.pad(x, self.pads)
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class MobileNetV1(nn.Module):
    """The network: normalized pictures (batch, 3 or 1, ρ, ρ) in, logits (batch, classes) out, ρ a multiple of 32.

    One set of weights serves every resolution.

    >>> model = MobileNetV1(ModelConfig(alpha=0.25, classes=10)).eval()
    >>> model(torch.zeros(1, 3, 128, 128)).shape
    torch.Size([1, 10])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels, *outputs = config.widths
        self.stem = ConvUnit(config, config.channels, channels, kernel=3, stride=config.stem_stride, groups=1)
        blocks = []
        for block, out in zip(BLOCKS, outputs, strict=True):
            depthwise = ConvUnit(config, channels, channels, kernel=3, stride=block.stride, groups=channels)
            pointwise = ConvUnit(config, channels, out, kernel=1, stride=1, groups=1)
            blocks.append(nn.Sequential(depthwise, pointwise))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head: nn.Module = nn.Identity()
        if config.head:
            self.head, channels = ConvUnit(config, channels, config.head, kernel=1, stride=1, groups=1), config.head
        hidden = []
        for width, activation in config.hidden:
            hidden.append(nn.Sequential(nn.Linear(channels, width), _function(activation)))
            channels = width
        self.hidden = nn.Sequential(*hidden)
        self.classifier = nn.Linear(channels, config.classes)

    def features(self, x: Tensor) -> Tensor:
        """What the classifier sees, (batch, channels), of normalized pictures (batch, 3 or 1, ρ, ρ)."""
        return self.hidden(self.head(self.blocks(self.stem(x))).mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of normalized pictures (batch, 3 or 1, ρ, ρ)."""
        return self.classifier(self.features(x))  # type: ignore[no-any-return]


def pads(kernel: int, stride: int, padding: Padding) -> tuple[int, int, int, int]:
    """Zeros before and after each axis: (left, right, top, bottom).

    TensorFlow's SAME splits ``kernel - stride`` zeros so that the odd one comes last; that holds for inputs whose
    size the stride divides, which every layer has when ρ is a multiple of 32.
    """
    total = kernel - stride if padding == "same" else 2 * (kernel // 2)
    before = total // 2
    return (before, total - before) * 2
