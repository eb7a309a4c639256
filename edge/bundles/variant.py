"""The names of variants: a MobileNet v1 of one width multiplier α, or another network, at one input resolution ρ."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from edge.bundles.architecture import LayerCosts, costs
from edge.errors import VariantError
from edge.text import shortened

__all__ = ["ALPHAS", "RESOLUTIONS", "Variant"]

ALPHAS: Final = (1.0, 0.75, 0.5, 0.25)
"""The width multipliers the paper trains."""
RESOLUTIONS: Final = (224, 192, 160, 128)
"""The input resolutions the paper trains, in pixels."""

_V1: Final = "mobilenet_v1"
_NAME = re.compile(r"(?:mobilenet_v1_)?(\d+(?:\.\d+)?)[_-](\d{1,9})")
_OTHER_NAME = re.compile(r"([a-z][a-z0-9.]*(?:[_-][a-z0-9.]+)*)_(\d{1,9})")


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """A width multiplier and an input resolution.

    >>> Variant.parse("mobilenet_v1_0.5_160").name
    'mobilenet_v1_0.50_160'
    """

    alpha: float
    """Width multiplier α, greater than 0."""
    resolution: int
    """Input height and width ρ in pixels, of a MobileNet v1 a multiple of 32."""
    network: str = _V1
    """The kind of network; α of any other than ``mobilenet_v1`` is 1."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise VariantError(f"invalid width multiplier {self.alpha}: α must be greater than 0, e.g. 0.5.")
        if not self.is_mobilenet_v1 and (self.alpha != 1.0 or _OTHER_NAME.fullmatch(self.name) is None):
            raise VariantError(f"Invalid network name '{self.network}': expected lower-case letters, digits, '_', '.'.")
        if self.resolution <= 0 or (self.resolution % 32 and self.is_mobilenet_v1):
            raise VariantError(
                f"invalid resolution {self.resolution}: ρ must be a multiple of 32, e.g. 224, 192, 160 or 128."
            )

    @classmethod
    def parse(cls, name: Variant | str) -> Variant:
        """Read a name: ``mobilenet_v1_0.50_160``, and for short ``0.5_160`` or ``0.5-160``. A variant stays as it is.

        Raises:
            VariantError: The name has another form, or is none.
        """
        if isinstance(name, Variant):
            return name
        if not isinstance(name, str):
            hint = ": its attribute 'variant' is one" if isinstance(getattr(name, "variant", None), Variant) else ""
            raise VariantError(f"Expected a variant or its name, got a {type(name).__name__}{hint}.")
        match = _NAME.fullmatch(name.strip())
        other = _OTHER_NAME.fullmatch(name.strip()) if match is None else None
        if other is not None and not other[1].startswith(_V1):
            return cls(1.0, int(other[2]), other[1])
        if match is None:
            raise VariantError(
                f"'{shortened(name)}' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160."
            )
        return cls(float(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """``mobilenet_v1_<α>_<ρ>`` with at least two decimals of α; ``<network>_<ρ>`` of another network."""
        if not self.is_mobilenet_v1:
            return f"{self.network}_{self.resolution}"
        alpha = f"{self.alpha:.2f}"
        return f"mobilenet_v1_{alpha if float(alpha) == self.alpha else repr(self.alpha)}_{self.resolution}"

    @property
    def is_mobilenet_v1(self) -> bool:
        """Whether the name says what the network costs."""
        return self.network == _V1

    def mult_adds(self, classes: int) -> LayerCosts:
        """Exact mult-adds for one image with a classifier of ``classes`` outputs.

        Raises:
            VariantError: It is no MobileNet v1.
        """
        return self._costs(classes)[0]

    def parameters(self, classes: int) -> LayerCosts:
        """Exact parameters with a classifier of ``classes`` outputs.

        Raises:
            VariantError: It is no MobileNet v1.
        """
        return self._costs(classes)[1]

    def _costs(self, classes: int) -> tuple[LayerCosts, LayerCosts]:
        if not self.is_mobilenet_v1:
            raise VariantError(f"{self.name} does not say what the network costs: only a MobileNet v1's name does.")
        return costs(self.alpha, self.resolution, classes)

    def __str__(self) -> str:
        return self.name
