"""What a newly installed bundle must hold on a board to stay there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Gate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What is allowed in the minutes after a switch; the object ``gate`` of a release in a channel's file.

    Every field has a default, so ``{}`` is a gate. Shares are from 0 to 1. :func:`judge` says how
    each field is used.
    """

    minutes: float = 30.0
    """Minutes of answers to look at after the switch. Minutes in which the board is off do not count."""
    min_frames: int = 300
    """Answers without which there is no verdict."""
    before_hours: float = 24.0
    """Hours before the switch to compare with; the health record goes back at most 48."""
    max_late_share: float = 0.05
    """Share of answers that may take longer than the budget."""
    p95_over_profile: float = 1.5
    """The p95 of the variant in use may be this many times the p95 of the board's profile."""
    max_restarts: int = 1
    """Times that ``camera-demo`` may be started again after it ended by itself or was killed."""
    unknown_over_before: float = 0.1
    """The share of unknown answers may be this much higher than before."""
    confidence_under_before: float = 0.1
    """The mean probability of the best class may be this much lower than before."""
    answers_within_minutes: float = 15.0
    """Minutes that ``camera-demo`` may take until it answers with the new version, if it ran before the switch."""
    blames_heat: bool = False
    """Whether minutes in which the board was hot or throttled, or other programs kept it busy, count too."""
    without_camera: Literal["keep", "roll_back"] = "keep"
    """What to do where ``camera-demo`` did not run before the switch and does not after it: nothing can be judged."""

    def __post_init__(self) -> None:
        shares = ("max_late_share", "unknown_over_before", "confidence_under_before")
        ranges = {name: (0.0, 1.0) for name in shares} | {
            "minutes": (1.0, 1440.0),
            "min_frames": (1, 1_000_000),
            "before_hours": (0.0, 48.0),
            "p95_over_profile": (1.0, 100.0),
            "max_restarts": (0, 1000),
            "answers_within_minutes": (1.0, 1440.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} is {value}: expected {low:g} to {high:g}")
        if self.without_camera not in ("keep", "roll_back"):
            raise ValueError(f"without_camera is {self.without_camera!r}: expected keep or roll_back")
