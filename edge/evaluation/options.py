"""What thresholds are to achieve. Loads no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge.errors import ConfidenceError
from edge.settings import Doc, check_numbers

__all__ = ["ThresholdOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdOptions:
    """What thresholds are to achieve on held-out pictures."""

    keep: Annotated[float, Doc("Share of right answers that stay above the threshold of unknown.", 0.5, 1.0)] = 0.95
    false_alarms: Annotated[
        float, Doc("Share of the pictures of --nothing that may be taken for a class.", 0.0, 1.0)
    ] = 0.05
    precision: Annotated[
        float | None, Doc("Precision that every class must have: sets a threshold for each.", 0.0, 1.0)
    ] = None

    def __post_init__(self) -> None:
        check_numbers(self, ConfidenceError)
