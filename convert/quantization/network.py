"""The single truth of a quantized MobileNet: integers and scales, from which every format is emitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.complexity import LayerKind
from convert.errors import ConversionError
from convert.quantization.folding import padded_conv2d
from edge.bundles.variant import Variant
from edge.vision.preprocess import Preprocessing

__all__ = ["PROBABILITIES", "Quantization", "QuantizedLayer", "QuantizedNetwork"]


@dataclass(frozen=True, slots=True)
class Quantization:
    """How int8 values of one tensor stand for reals: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0 and -128 <= self.zero_point <= 127):
            raise ConversionError(f"No tensor can have scale {self.scale} and zero point {self.zero_point} in int8.")

    @classmethod
    def of_range(cls, low: float, high: float) -> Quantization:
        """The finest int8 quantization whose range covers [low, high] and holds zero exactly.

        A range of nothing, as of a layer that never fires, counts as 6e-3 wide: kernels compute 6 / scale as an int32.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max(high - low, 6e-3) / 255
        return cls(float(np.float32(scale)), int(np.clip(round(-128 - low / scale), -128, 127)))


PROBABILITIES: Final = Quantization(1 / 256, -128)
"""What TensorFlow Lite fixes for the output of an int8 softmax."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedLayer:
    """One convolution in integers."""

    name: str
    kind: LayerKind
    weight: NDArray[np.int8]
    """(out, in, height, width), symmetric, -127 to 127; (channels, 1, 3, 3) for a depthwise layer."""
    weight_scales: NDArray[np.float32]
    """(out,)."""
    bias: NDArray[np.int32]
    """(out,), in units of input scale times weight scale."""
    stride: int
    pads: tuple[int, int, int, int]
    cap: float | None
    """The activation's upper limit: 6, infinity, or None for no activation."""
    input: Quantization
    output: Quantization
    pools: bool = False
    """Whether the global average pool stands before it."""

    def __post_init__(self) -> None:
        if self.weight.min(initial=0) < -127:
            raise ConversionError(f"Layer {self.name} has the weight -128: symmetric weights end at -127.")
        channels = self.weight.shape[0]
        if self.weight_scales.shape != (channels,) or self.bias.shape != (channels,):
            raise ConversionError(f"Layer {self.name} has {channels} channels, but other counts of scales or biases.")
        if not (np.isfinite(self.weight_scales).all() and (self.weight_scales > 0).all()):
            raise ConversionError(f"Layer {self.name} has a weight scale that is not a positive number.")

    def run(self, levels: Tensor) -> Tensor:
        """The layer's int8 output (batch, out, height, width) for int8 input (batch, in, height, width).

        Sums are float32, which rounds those beyond 2^24 by less than 1e-7 of them. Kernels multiply by a fixed-point
        number instead of dividing, and so differ by one step now and then.
        """
        weight = torch.from_numpy(self.weight).float()
        x = levels.float().sub_(self.input.zero_point)
        sums = padded_conv2d(x, weight, None, self.stride, self.pads, len(weight) if self.kind == "depthwise" else 1)
        out, unit = self.output, self.input.scale * torch.from_numpy(self.weight_scales).double()
        gain = (unit / out.scale).float()
        shift = (torch.from_numpy(self.bias) * unit / out.scale + out.zero_point).float()
        real_levels = sums.mul_(gain[:, None, None]).add_(shift[:, None, None])
        low = -128 if self.cap is None else max(-128, out.zero_point)
        high = 127 if self.cap is None else min(127.0, out.zero_point + self.cap / out.scale)
        return real_levels.round_().clamp_(low, round(high)).to(torch.int8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A whole network in integers, for one resolution.

    The global average pool keeps its input's quantization, as TensorFlow Lite requires;
    the softmax after it has :data:`PROBABILITIES`.
    """

    variant: Variant
    classes: int
    preprocessing: Preprocessing
    layers: tuple[QuantizedLayer, ...]

    @property
    def input(self) -> Quantization:
        """The picture's quantization."""
        return self.layers[0].input

    @property
    def logits(self) -> Quantization:
        """The logits' quantization."""
        return self.layers[-1].output
