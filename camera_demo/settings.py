"""What the user asked for, on the command line and in the configuration file: one list of settings for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from camera_demo.capture_format import Flip
from camera_demo.errors import ConfigError

__all__ = ["LogFormat", "Settings"]

LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting. Its name with ``-`` for ``_`` is the command line's option, as it stands the file's key."""

    input: str | None = None
    """None for the first camera, else the demo clip."""
    outputs: tuple[str, ...] = ()
    """None at all for a line on the terminal."""
    bundle: str = "demo"
    fps: float | None = None
    """The rate to keep; None for 30, unless there is a budget."""
    budget_ms: float | None = None
    """The same as milliseconds a frame."""
    variant: str | None = None
    """A variant to use whatever the budget says."""
    backend: str = "auto"
    threads: int | None = None
    headless: bool = False
    """Whether ``display`` is left out."""
    top_k: int = 5
    threshold: float = 0.0
    """Probability, 0 to 1, below which a guess is not shown."""
    smoothing: float = 0.0
    """Seconds over which answers are averaged."""
    roi: str | None = None
    """The part of the picture to classify: LEFT,TOP,RIGHT,BOTTOM as shares."""
    input_width: int = 640
    input_height: int = 480
    input_rate: float | None = None
    input_codec: str = "MJPG"
    input_flip: Flip = "none"
    max_frames: int | None = None
    pace: bool | None = None
    loop: bool = False
    wait: bool = False
    """Whether a camera that is not there yet is waited for."""
    token: str | None = None
    """What a browser on the network must know; None to make one up."""
    log_format: LogFormat = "text"

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("top_k", 1), ("max_frames", 1), ("smoothing", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ConfigError(f"{name} is {value}: expected {least} or more.")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}: expected a probability, 0 to 1.")
        if self.token is not None and len(self.token) < 8:
            raise ConfigError("token is too short to keep anybody out: expected 8 letters or more.")
        if self.log_format not in get_args(LogFormat):
            raise ConfigError(f"log_format is '{self.log_format}': expected {' or '.join(get_args(LogFormat))}.")
