"""Options of a live run, grouped by what they are about; every default stands here or in the group's own module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from camera_demo.errors import ConfigError
from camera_demo.events import Steady
from camera_demo.region import Region, check_names
from edge.inference.unknown import Unknown, check_thresholds, parse_unknown

__all__ = ["MOST_SMOOTHING_S", "ClassifyOptions", "Playback"]

MOST_SMOOTHING_S: Final = 3600.0
"""A longer average no longer follows what the camera shows."""
_SMOOTHED: Final = 10
"""Classes of each answer that are averaged, however few are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOptions:
    """Which parts of a frame are classified, which classes an answer has, and when one is announced."""

    top_k: int = 5
    """Number of classes in each answer."""
    threshold: float = 0.0
    """Probability, 0 to 1, below which a class is left out."""
    smoothing: float = 0.0
    """Time constant in seconds over which the answers are averaged; 0 takes each as it is."""
    unknown: Unknown = "auto"
    """When an answer is unknown: below the bundle's threshold (``auto``), below a probability, or never (``off``)."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """For single classes, by label: the probability below which an answer is unknown."""
    regions: tuple[Region, ...] = ()
    """The parts of the frame to classify, one a frame in turn; none for all of it."""
    steady: Steady | None = None
    """What it takes to announce a class, and to end it; None to announce none."""
    watched: tuple[str, ...] = ()
    """The labels that are announced; none for all."""
    idle: bool = False
    """Whether the model rests while nothing changes in a region: see :mod:`camera_demo.motion`."""

    @property
    def computed(self) -> int:
        """Number of classes that the classifier must give: averages need more than are shown."""
        return max(self.top_k, _SMOOTHED) if self.smoothing else self.top_k

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {self.top_k}.")
        if not 0 <= self.smoothing <= MOST_SMOOTHING_S:
            raise ConfigError(f"smoothing must be between 0 and {MOST_SMOOTHING_S:g} s, got {self.smoothing}.")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold must be between 0 and 1, got {self.threshold}.")
        parse_unknown(self.unknown)
        check_thresholds(self.thresholds)
        check_names(self.regions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """How a source is played."""

    pace: bool | None = None
    """Whether a file keeps its own rate and late frames are dropped; None for every frame of files."""
    loop: bool = False
    """Whether a file begins again at its end."""
    wait: bool = False
    """Whether to wait for a camera that is not there yet, instead of raising an error."""
