"""What a model's input or output tensor looks like: shape, type, and what its integers stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TensorSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor as a backend declares it.

    A quantized value ``q`` stands for ``scale * (q - zero_point)``; a float tensor has scale 1 and zero point 0.
    """

    shape: tuple[int, ...]
    """All dimensions, the batch of 1 first."""
    dtype: str
    """NumPy's name of the element type: ``int8``, ``uint8``, ``float32`` or ``float16``."""
    scale: float = 1.0
    zero_point: int = 0

    @property
    def is_quantized(self) -> bool:
        """Whether elements are integers that stand for reals."""
        return np.dtype(self.dtype).kind in "iu"

    @property
    def is_channels_first(self) -> bool:
        """Whether this is an image tensor (1, channels, height, width) rather than (1, height, width, channels)."""
        return len(self.shape) == 4 and self.shape[1] in (1, 3) and self.shape[3] not in (1, 3)

    @property
    def resolution(self) -> int:
        """Height and width of an image tensor in pixels."""
        return self.shape[2]

    def empty(self) -> NDArray[np.generic]:
        """A new array of this shape and type, its contents undefined."""
        return np.empty(self.shape, np.dtype(self.dtype))

    def real(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """The real numbers that ``values`` of this tensor stand for."""
        real: NDArray[np.float32] = (values.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        return real
