"""The settings of the command line and of the configuration file: one list for both."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Literal, get_args

from camera_demo.actions.rules import Rule
from camera_demo.capture_format import CaptureFormat, Flip
from camera_demo.errors import ConfigError
from camera_demo.events import Span, Steady
from camera_demo.loading import ModelOptions
from camera_demo.options import MOST_SMOOTHING_S, ClassifyOptions, Playback
from camera_demo.region import parse_regions
from edge.inference.unknown import parse_unknown
from edge.settings import Doc

__all__ = ["TOKEN_VARIABLE", "LogFormat", "Settings"]

LogFormat = Literal["text", "json"]
TOKEN_VARIABLE: Final = "CAMERA_DEMO_TOKEN"
_TOKEN_LETTERS: Final = 8
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,58}[A-Za-z0-9])?")
"""Names that may stand in MQTT topics and metrics as they are."""
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
        float | None,
        Doc(f"Average the answers over this many seconds. Default: {_CLASSIFY.smoothing:g}.", 0, MOST_SMOOTHING_S),
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
        list[str] | None,
        Doc(
            "Region of interest, as fractions: 0.25,0,0.75,1. Several with names, one a frame in turn: door=0,0,0.5,1.",
            metavar="[NAME=]LEFT,TOP,RIGHT,BOTTOM",
        ),
    ] = None
    steady: Annotated[
        str | None,
        Doc(
            "Answers in a row, or seconds, that announce a class: an event begins. Default: 5 for cameras, off for "
            "files.",
            metavar="N|SECONDSs|off",
        ),
    ] = None
    steady_end: Annotated[
        str | None,
        Doc("Answers or seconds without it that end an event. Default: twice --steady.", metavar="M|SECONDSs"),
    ] = None
    watch: Annotated[
        list[str] | None,
        Doc(
            "Announce only this class, with a binary sensor in Home Assistant. Several times for several.",
            metavar="LABEL",
        ),
    ] = None
    idle: Annotated[
        bool | None, Doc("Let the model rest while nothing changes, and keep the last answer. Default: off.")
    ] = None
    name: Annotated[
        str | None, Doc("What this camera is called in topics, metrics and events. Default: from the input.")
    ] = None
    action: tuple[Rule, ...] = ()
    """What is done at events; only in the file, as tables ``[[action]]``."""
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
            envvar=TOKEN_VARIABLE,
        ),
    ] = None
    switch_versions: Annotated[
        bool | None,
        Doc(
            "Take a version of the bundle that is activated or rolled back without a restart, and keep a health "
            "record. Default: on in the systemd service."
        ),
    ] = None
    log_format: Annotated[LogFormat | None, Doc("text (default), or json: one object a line.")] = None

    def __post_init__(self) -> None:
        for name in ("threads", "max_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{field.name} must be a finite number, got {value}.")
        if self.steady == "off":
            asking = [name for name in ("steady_end", "watch", "action") if getattr(self, name)]
            if asking:
                raise ConfigError(f"steady is off, so no class is announced: omit it, or omit {asking[0]}.")
        if self.token is not None and len(self.token) < _TOKEN_LETTERS:
            raise ConfigError(f"token is too short to keep anybody out: expected {_TOKEN_LETTERS} letters or more.")
        if self.log_format not in (None, *get_args(LogFormat)):
            raise ConfigError(f"log_format must be {' or '.join(get_args(LogFormat))}, got '{self.log_format}'.")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigError(f"invalid name {self.name!r}: expected up to 60 letters, digits, spaces, dots, _ or -.")
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
            SourceError: A region is invalid.
            ConfigError: What it takes to announce a class is invalid.
        """
        return ClassifyOptions(
            **_given(
                top_k=self.top_k,
                threshold=self.threshold,
                smoothing=self.smoothing,
                unknown=None if self.unknown is None else parse_unknown(self.unknown),
                thresholds=self.thresholds,
                regions=parse_regions(self.roi or ()),
                steady=self._steady,
                watched=self._watched,
                idle=self.idle,
            )
        )

    @property
    def asked_for(self) -> tuple[str, ...]:
        """The labels that are named: to be watched, or in an action."""
        return tuple(dict.fromkeys([*(self.watch or ()), *(label for rule in self.action for label in rule.labels)]))

    @property
    def _watched(self) -> tuple[str, ...] | None:
        """The labels that are announced; None for all, also where an action is for every class."""
        return self.asked_for if self.watch and all(rule.labels for rule in self.action) else None

    @property
    def _steady(self) -> Steady | None:
        """None where nothing is set, or ``off``."""
        if self.steady == "off":
            return None
        begin = None if self.steady is None else Span.parse(self.steady)
        end = None if self.steady_end is None else Span.parse(self.steady_end)
        return None if begin is None and end is None else Steady(**_given(begin=begin), end=end)

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
