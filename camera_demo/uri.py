"""Sources and sinks as text: the two tables of schemes and their parser.

Follows jetson-utils: a prefix (``v4l2://``, ``file://``) is optional where the rest says enough.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from camera_demo.errors import SinkError, SourceError
from edge.addresses import is_like_address, redacted, split_address
from edge.errors import EdgeError
from edge.vision.images import is_picture

__all__ = ["SINKS", "SOURCES", "VIDEO_CODECS", "Scheme", "Uri", "is_pattern", "parse_sink", "parse_source"]

VIDEO_CODECS: Final = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""The video files that can be written, and the codec of each; OpenCV's own wheels have them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One kind of source or sink."""

    name: str
    module: str
    """The module below ``camera_demo.sources`` or ``camera_demo.sinks`` that opens it."""
    example: str
    """How it is written, for messages."""
    keeps_time: bool = False
    """Whether it plays at its own rate by default."""
    may_wait: bool = False
    """Whether it may be slow, as a pipe or a disk is, and needs a thread of its own beside a camera."""
    is_live: bool = False
    """Whether it is a camera: it has its own pace, may break off, and is opened again."""
    is_remote: bool = False
    """Whether its location is a network address, which may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uri:
    """A parsed source or sink."""

    scheme: Scheme
    location: str = field(repr=False)
    """What the scheme's module needs: a device, a path, ``HOST:PORT``, options, or a whole address with its secrets."""

    @property
    def name(self) -> str:
        """What it is, for people: without secrets."""
        if self.scheme.name == "csi":
            return f"csi://{self.location}"
        return (redacted(self.location) if self.scheme.is_remote else self.location) or self.scheme.name

    @property
    def short_name(self) -> str:
        """A word for it on the page and in metrics: ``video0``, ``cam``, ``digits``. Of an address, its host.

        >>> parse_source("rtsp://me:secret@cam/live").short_name
        'cam'
        """
        if self.scheme.name == "csi":
            return f"csi{self.location}"
        if self.scheme.is_remote:
            return split_address(self.location).host
        name = Path(self.location).stem if self.scheme.name in ("v4l2", "clip", "pictures") else self.location
        return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60] or self.scheme.name


SOURCES: Final = (
    Scheme(name="v4l2", module="camera", example="a camera (0, /dev/video0, /dev/v4l/by-id/...)", is_live=True),
    Scheme(name="csi", module="csi", example="csi://0", is_live=True),
    Scheme(name="rtsp", module="stream", example="rtsp://HOST/PATH", is_live=True, is_remote=True),
    Scheme(name="mjpeg", module="mjpeg", example="http://HOST:81/stream", is_live=True, is_remote=True),
    Scheme(name="clip", module="clip", example="a video file"),
    Scheme(name="pictures", module="image_folder", example="a folder of pictures"),
    Scheme(name="synthetic", module="synthetic", example="synthetic:640x480@30", keeps_time=True),
    Scheme(name="demo", module="demo", example="demo"),
)
"""Every kind of source."""
SINKS: Final = (
    Scheme(name="terminal", module="terminal", example="terminal", may_wait=True),
    Scheme(name="json", module="json_lines", example="json:- or json:FILE", may_wait=True),
    Scheme(name="video", module="video", example=f"a video file ({', '.join(VIDEO_CODECS)})", may_wait=True),
    Scheme(name="display", module="display", example="display"),
    Scheme(name="http", module="page", example="http://127.0.0.1:8000"),
    Scheme(name="mqtt", module="mqtt", example="mqtt://HOST/TOPIC", is_remote=True),
    Scheme(name="collect", module="collect", example="collect:DIR", may_wait=True),
)
"""Every kind of sink."""

_SOURCE_PREFIXES: Final = ("v4l2", "csi", "synthetic")
_NUMBER = re.compile(r"[0-9]{1,4}")
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?(.*)", re.DOTALL)


def parse_source(text: str) -> Uri:
    """What an INPUT means.

    >>> parse_source("0").location, parse_source("file:///tmp").scheme.name
    ('/dev/video0', 'pictures')

    Raises:
        SourceError: The kind of source is unknown, the file or folder does not exist, or the address is invalid.
    """
    if _NUMBER.fullmatch(text):
        return _uri(SOURCES, "v4l2", f"/dev/video{int(text)}")
    if text == "demo":
        return _uri(SOURCES, "demo", "")
    if text.startswith("/dev/"):
        return _uri(SOURCES, "v4l2", text)
    match _split(text):
        case "v4l2", location:
            node = f"/dev/video{int(location)}" if _NUMBER.fullmatch(location) else location
            return _uri(SOURCES, "v4l2", node or "/dev/video0")
        case "csi", location:
            return _uri(SOURCES, "csi", location)
        case (("rtsp" | "rtsps"), _):
            return _remote(SOURCES, "rtsp", text, SourceError)
        case (("http" | "https"), _):
            return _remote(SOURCES, "mjpeg", text, SourceError)
        case "synthetic", location:
            return _uri(SOURCES, "synthetic", location)
        case (("" | "file"), location):
            return _stored(location)
        case name, _ if any(name == sink.name for sink in SINKS):
            shown = redacted(text)
            raise SourceError(f"{shown} is an output: name the input before it, e.g. camera-demo 0 {shown}.")
    raise _unsupported(SourceError, text, SOURCES)


def parse_sink(text: str) -> Uri:
    """What an OUTPUT means.

    >>> parse_sink("json:-").location, parse_sink("out.mp4").scheme.name
    ('-', 'video')

    Raises:
        SinkError: The kind of sink is unknown, or the address is invalid.
    """
    if text in ("terminal", "display"):
        return _uri(SINKS, text, "")
    match _split(text):
        case "json", location:
            return _uri(SINKS, "json", location)
        case "collect", location:
            return _uri(SINKS, "collect", location)
        case "display", location:
            return _uri(SINKS, "display", location)
        case "http", location:
            return _uri(SINKS, "http", location)
        case (("mqtt" | "mqtts"), _):
            return _remote(SINKS, "mqtt", text, SinkError)
        case (("" | "file"), location) if Path(location).suffix.lower() in VIDEO_CODECS:
            return _uri(SINKS, "video", location)
        case name, _ if (
            text == "demo" or text.startswith("/dev/") or name in _SOURCE_PREFIXES or re.fullmatch("[0-9]{1,2}", text)
        ):
            raise SinkError(f"{text} is an input: name it first, then the outputs.")
    raise _unsupported(SinkError, text, SINKS)


def is_pattern(location: str) -> bool:
    """Whether ``location`` is a pattern for names, as ``photos/*.jpg``."""
    return any(letter in location for letter in "*?[")


def _uri(table: tuple[Scheme, ...], name: str, location: str) -> Uri:
    return Uri(scheme=next(row for row in table if row.name == name), location=location)


def _remote(table: tuple[Scheme, ...], name: str, address: str, error: type[EdgeError]) -> Uri:
    try:
        split_address(address)
    except ValueError as reason:
        raise error(str(reason)) from None
    return _uri(table, name, address)


def _split(text: str) -> tuple[str, str]:
    """Prefix, in lower case, and rest; a file that really has such a name is a file."""
    match = _PREFIX.fullmatch(text)
    return ("", text) if match is None or _exists(text) else (match[1].lower(), match[2])


def _exists(name: str) -> bool:
    """Whether the file or folder exists; False for what cannot be a name."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _stored(location: str) -> Uri:
    if not _exists(location) and _exists(unquote(location)):
        location = unquote(location)
    path = Path(location)
    if not _exists(location):
        is_matched = is_pattern(location) and any(glob.iglob(location, recursive=True))  # noqa: PTH207 - as it is read
        if is_like_address(location) and not is_matched:
            raise _unsupported(SourceError, location, SOURCES)
        if is_pattern(location):
            return _uri(SOURCES, "pictures", location)
        raise SourceError(f"There is no file or folder '{location}': expected {_examples(SOURCES)}.")
    is_pictures = path.is_dir() or is_picture(path)
    return _uri(SOURCES, "pictures" if is_pictures else "clip", str(path))


def _unsupported(error: type[EdgeError], text: str, table: tuple[Scheme, ...]) -> EdgeError:
    kind = "input" if table is SOURCES else "output"
    name = redacted(text)
    if name != text and "://" not in name:
        return error(
            f"unknown {kind}, which is not shown as it may be an address with a password: begin an address with "
            f"{'rtsp:// or http://' if table is SOURCES else 'http:// or mqtt://'}. Expected {_examples(table)}."
        )
    return error(f"unknown {kind} '{name}': expected {_examples(table)}.")


def _examples(table: tuple[Scheme, ...]) -> str:
    *others, last = (row.example for row in table)
    return f"{', '.join(others)} or {last}"
