"""How far the probabilities of one model file can be trusted, as measured on pictures that it was not calibrated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.errors import BundleError

__all__ = ["Confidence"]

_SHARES: Final = (
    "unknown_below",
    "known_kept",
    "false_alarms",
    "error",
    "error_before",
    "error_by_chance",
    "precision",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Calibration and the threshold of ``unknown``; shares from 0 to 1. ``docs/confidence.md`` explains the figures."""

    unknown_below: float
    """An answer whose best class has a smaller probability is unknown."""
    known_kept: float
    """Share of the known pictures that are at or above it."""
    known: int
    """Number of held-out pictures that it was set on."""
    false_alarms: float | None = None
    """Share of the pictures of nothing in particular that are at or above it; None without such pictures."""
    nothing: int = 0
    """Number of those pictures."""
    precision: float | None = None
    """The precision that was asked of each class; None where none was."""
    class_below: Mapping[int, float] = field(default_factory=dict, hash=False)
    """By class number, where the precision asks for more than :attr:`unknown_below`: the threshold for its answers."""
    temperature: float | None = None
    """What the logits are divided by, inside the file; None where too few pictures are labelled to find it."""
    error: float | None = None
    """Expected calibration error of the file on the labelled pictures; None without any."""
    error_before: float | None = None
    """That of the float network with temperature 1, on the same pictures; None where it is not known."""
    error_by_chance: float | None = None
    """What a perfectly calibrated model would show on as many pictures, on average: smaller errors mean nothing."""
    labelled: int = 0
    """Number of labelled pictures that the errors were measured on."""

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise BundleError(f"{name} {value} is not a share between 0 and 1")
        for class_id, value in self.class_below.items():
            if not 0 <= value <= 1:
                raise BundleError(f"class_below[{class_id}] {value} is not a share between 0 and 1")
        if self.temperature is not None and not 0 < self.temperature < 100:
            raise BundleError(f"temperature {self.temperature} is not a number above 0")
        for name in ("known", "nothing", "labelled"):
            if getattr(self, name) < 0:
                raise BundleError(f"{name} {getattr(self, name)} is not a count")
