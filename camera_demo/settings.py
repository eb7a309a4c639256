"""The settings of the command line and of the configuration file: one list for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from camera_demo.capture_format import CaptureFormat, Flip
from camera_demo.errors import ConfigError
from camera_demo.loading import ModelOptions
from camera_demo.options import ClassifyOptions, Playback
from camera_demo.region import Region

__all__ = ["LogFormat", "Settings"]

LogFormat = Literal["text", "json"]
_TOKEN_LETTERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; None stands for the default of the group that it belongs to.

    A setting's name with ``-`` for ``_`` is the command line's option, as it is the configuration file's key.
    """

    input: str | None = None
    """None for the first camera, else the demo clip."""
    outputs: tuple[str, ...] = ()
    """None at all for a line on the terminal."""
    bundle: str | None = None
    fps: float | None = None
    budget_ms: float | None = None
    variant: str | None = None
    backend: str | None = None
    threads: int | None = None
    headless: bool = False
    """Whether ``display`` is left out."""
    top_k: int | None = None
    threshold: float | None = None
    smoothing: float | None = None
    roi: str | None = None
    """The part of the picture to classify: LEFT,TOP,RIGHT,BOTTOM as fractions."""
    input_width: int | None = None
    input_height: int | None = None
    input_rate: float | None = None
    input_codec: str | None = None
    input_flip: Flip | None = None
    max_frames: int | None = None
    """The number of answers to stop after; None for no end."""
    pace: bool | None = None
    loop: bool | None = None
    wait: bool | None = None
    token: str | None = None
    """What a browser on the network must know; None to make one up."""
    log_format: LogFormat = "text"

    def __post_init__(self) -> None:
        for name in ("threads", "max_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}.")
        if self.token is not None and len(self.token) < _TOKEN_LETTERS:
            raise ConfigError(f"token is too short to keep anybody out: expected {_TOKEN_LETTERS} letters or more.")
        if self.log_format not in get_args(LogFormat):
            raise ConfigError(f"log_format must be {' or '.join(get_args(LogFormat))}, got '{self.log_format}'.")
        _ = self.classify  # checks its values

    @property
    def model(self) -> ModelOptions:
        """Which model answers, and how it runs."""
        return ModelOptions(
            **_given(bundle=self.bundle, variant=self.variant, backend=self.backend, threads=self.threads)
        )

    @property
    def classify(self) -> ClassifyOptions:
        """What is classified, and which classes an answer has.

        Raises:
            SourceError: The region is invalid.
        """
        region = None if self.roi is None else Region.parse(self.roi)
        return ClassifyOptions(
            **_given(top_k=self.top_k, threshold=self.threshold, smoothing=self.smoothing, region=region)
        )

    @property
    def capture_format(self) -> CaptureFormat:
        """What to request from a camera.

        Raises:
            SourceError: A value is out of range.
        """
        return CaptureFormat(
            **_given(
                width=self.input_width,
                height=self.input_height,
                rate_hz=self.input_rate,
                codec=self.input_codec,
                flip=self.input_flip,
            )
        )

    @property
    def playback(self) -> Playback:
        """How the source is played."""
        return Playback(**_given(pace=self.pace, loop=self.loop, wait=self.wait))


def _given(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}
