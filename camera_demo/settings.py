"""The settings of the command line and of the configuration file: one list for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from camera_demo.capture_format import CaptureFormat, Flip
from camera_demo.errors import ConfigError
from camera_demo.loading import ModelOptions
from camera_demo.options import ClassifyOptions, Playback
from camera_demo.region import Region
from edge.inference.unknown import parse_unknown
from edge.settings import Doc

__all__ = ["LogFormat", "Settings"]

LogFormat = Literal["text", "json"]
_TOKEN_LETTERS: Final = 8
_CAPTURE, _CLASSIFY, _MODEL = CaptureFormat(), ClassifyOptions(), ModelOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; None stands for the default of the group that it belongs to.

    A setting's name with ``-`` for ``_`` is the command line's option, as it is the configuration file's key.
    """

    input: str | None = None
    """None for the first camera, else the demo clip."""
    outputs: tuple[str, ...] = ()
    """None at all for a line on the terminal."""
    bundle: Annotated[str | None, Doc(f"A bundle's folder or name. Default: {_MODEL.bundle}, which ships.")] = None
    fps: Annotated[float | None, Doc("Rate to keep by changing the variant. Default: 30.")] = None
    budget_ms: Annotated[float | None, Doc("The same budget, in milliseconds a frame.")] = None
    variant: Annotated[str | None, Doc("Always use this variant, e.g. 0.50_160.")] = None
    backend: Annotated[str | None, Doc(f"A backend's name. Default: {_MODEL.backend}.")] = None
    threads: Annotated[int | None, Doc("Default: the board's cores, at most 4.", 1)] = None
    headless: Annotated[bool | None, Doc("Open no window: ignore the output display.")] = None
    top_k: Annotated[
        int | None, Doc(f"Classes in each answer. Default: {_CLASSIFY.top_k}.", 1, flags=("--top-k", "--topk"))
    ] = None
    threshold: Annotated[
        float | None, Doc(f"Leave out classes below this probability. Default: {_CLASSIFY.threshold:g}.", 0, 1)
    ] = None
    smoothing: Annotated[
        float | None, Doc(f"Average the answers over this many seconds. Default: {_CLASSIFY.smoothing:g}.", 0)
    ] = None
    unknown: Annotated[
        str | None,
        Doc(
            "Call an answer unknown below the bundle's threshold, never, or below P. Default: auto.",
            metavar="auto|off|P",
        ),
    ] = None
    thresholds: Mapping[str, float] | None = None
    """For single classes, by label: the probability below which an answer is unknown. In the file alone."""
    roi: Annotated[
        str | None,
        Doc("Region of interest, as fractions: 0.25,0,0.75,1.", metavar="LEFT,TOP,RIGHT,BOTTOM"),
    ] = None
    input_width: Annotated[int | None, Doc(f"Width to request. Default: {_CAPTURE.width}.")] = None
    input_height: Annotated[int | None, Doc(f"Height to request. Default: {_CAPTURE.height}.")] = None
    input_rate: Annotated[float | None, Doc("Frames a second to request.")] = None
    input_codec: Annotated[str | None, Doc(f"Pixel format to request. Default: {_CAPTURE.codec}.")] = None
    input_flip: Annotated[Flip | None, Doc("Rotate or mirror. Default: none.")] = None
    max_frames: Annotated[int | None, Doc("Stop after this many answers.", 1)] = None
    pace: Annotated[
        bool | None,
        Doc(
            "Play a file at its own rate and drop late frames, or classify every frame. Default: every frame of files, "
            "the own rate of synthetic:."
        ),
    ] = None
    loop: Annotated[bool | None, Doc("Repeat a file.")] = None
    wait: Annotated[bool | None, Doc("Wait for a camera that is not connected yet.")] = None
    token: Annotated[
        str | None,
        Doc(
            "Token that browsers on the network need for http://. Default: a new one at each start.",
            envvar="CAMERA_DEMO_TOKEN",
        ),
    ] = None
    log_format: Annotated[LogFormat | None, Doc("text (default), or json: one object a line.")] = None

    def __post_init__(self) -> None:
        for name in ("threads", "max_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}.")
        if self.token is not None and len(self.token) < _TOKEN_LETTERS:
            raise ConfigError(f"token is too short to keep anybody out: expected {_TOKEN_LETTERS} letters or more.")
        if self.log_format not in (None, *get_args(LogFormat)):
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
            **_given(
                top_k=self.top_k,
                threshold=self.threshold,
                smoothing=self.smoothing,
                unknown=None if self.unknown is None else parse_unknown(self.unknown),
                thresholds=self.thresholds,
                region=region,
            )
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
