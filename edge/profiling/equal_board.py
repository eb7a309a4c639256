"""Where the figures of a profile come from that was measured on an equal board, not on this one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.errors import ProfileError

__all__ = ["EqualBoard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualBoard:
    """The board that was measured, and how the check on this board came out."""

    host: str
    """The name of the machine that was measured."""
    place: str
    """The file or address that the profile was taken from."""
    checked: str
    """When this board was compared with it: ISO 8601, UTC."""
    tolerance: float
    """How much a median was allowed to differ, as a share."""
    ratios: Mapping[str, float]
    """Medians measured here as multiples of those measured there, by variant."""

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ProfileError(f"equal.tolerance is {self.tolerance}: expected a share above 0")
        if not self.ratios or not all(math.isfinite(ratio) and ratio > 0 for ratio in self.ratios.values()):
            raise ProfileError(f"equal.ratios is {dict(self.ratios)}: expected numbers above 0 by variant")

    def to_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self) | {"ratios": dict(self.ratios)}

    def __str__(self) -> str:
        low, high = min(self.ratios.values()), max(self.ratios.values())
        return f"its equal {self.host}; checked here on {self.checked[:10]}: {low:.2f} to {high:.2f} times as long"
