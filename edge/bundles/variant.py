"""The names of the family: one variant is one width multiplier α at one input resolution ρ."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from edge.bundles.architecture import LayerCosts, costs
from edge.errors import VariantError

__all__ = ["ALPHAS", "RESOLUTIONS", "Variant"]

ALPHAS: Final = (1.0, 0.75, 0.5, 0.25)
"""The width multipliers the paper trains."""
RESOLUTIONS: Final = (224, 192, 160, 128)
"""The input resolutions the paper trains, in pixels."""

_NAME = re.compile(r"(?:mobilenet_v1_)?(\d+(?:\.\d+)?)[_-](\d{1,9})")


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """A width multiplier and an input resolution.

    >>> Variant.parse("mobilenet_v1_0.5_160").name
    'mobilenet_v1_0.50_160'
    """

    alpha: float
    """Width multiplier α, greater than 0."""
    resolution: int
    """Input height and width ρ in pixels, a multiple of 32."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise VariantError(f"Width multiplier {self.alpha} cannot be: α must be greater than 0, e.g. 0.5.")
        if self.resolution <= 0 or self.resolution % 32:
            raise VariantError(
                f"Resolution {self.resolution} cannot be: ρ must be a multiple of 32, e.g. 224, 192, 160 or 128."
            )

    @classmethod
    def parse(cls, name: str) -> Variant:
        """Read a name: ``mobilenet_v1_0.50_160``, and for short ``0.5_160`` or ``0.5-160``.

        Raises:
            VariantError: The name has another form.
        """
        match = _NAME.fullmatch(name.strip())
        if match is None:
            raise VariantError(f"'{name}' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160.")
        return cls(float(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """``mobilenet_v1_<α>_<ρ>`` with at least two decimals of α."""
        alpha = f"{self.alpha:.2f}"
        return f"mobilenet_v1_{alpha if float(alpha) == self.alpha else repr(self.alpha)}_{self.resolution}"

    def mult_adds(self, classes: int) -> LayerCosts:
        """Exact mult-adds for one image with a classifier of ``classes`` outputs."""
        return costs(self.alpha, self.resolution, classes)[0]

    def parameters(self, classes: int) -> LayerCosts:
        """Exact parameters with a classifier of ``classes`` outputs."""
        return costs(self.alpha, self.resolution, classes)[1]

    def __str__(self) -> str:
        return self.name
