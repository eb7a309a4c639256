"""When frames are kept and how many: what may follow the folder in ``collect:DIR?every=60&mb=200``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from camera_demo.errors import SinkError

__all__ = ["CollectOptions", "parse_place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """Whichever of the reasons holds, the frame is kept, unless a quota is full or it looks like one that is there."""

    every: float | None = None
    """Seconds between frames that are kept whatever they show; None for never."""
    unsure: tuple[float, float] | None = (0.3, 0.7)
    """Probabilities of the best class between which an answer is unsure; None to not keep such frames."""
    unknown: bool = True
    """Whether frames whose answer is unknown are kept."""
    share: float = 0.0
    """Of all frames, drawn at random."""
    minute: int = 10
    """The most frames in a minute."""
    hour: int = 100
    """The most frames in an hour."""
    per_class: int = 300
    """The most frames of one guess that nobody has labelled."""
    mb: float = 500.0
    """The most megabytes of the folder."""


_NAMES: Final = {"class": "per_class"}
_FLAGS: Final = {"yes": True, "no": False}


def parse_place(place: str) -> tuple[Path, CollectOptions]:
    """Folder and options.

    >>> parse_place("seen?every=60&unsure=no")[1].every
    60.0

    Raises:
        SinkError: There is no folder's name, or an option is unknown or invalid.
    """
    name, _, query = (place, "", "") if Path(place).is_dir() else place.partition("?")
    if not name:
        raise SinkError("collect: names no folder: expected collect:DIR, e.g. collect:seen.")
    known = {field.name for field in fields(CollectOptions)}
    values: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        option = _NAMES.get(key, key)
        if option not in known or key == "per_class":
            names = ", ".join(sorted({*known, "class"} - {"per_class"}))
            raise SinkError(f"collect: has no option '{key}': expected some of {names}.")
        values[option] = _value(option, key, text)
    return Path(name), CollectOptions(**values)


def _value(option: str, key: str, text: str) -> Any:
    try:
        if option == "unknown":
            return _FLAGS[text]
        if option == "unsure":
            return None if text == "no" else _band(text)
        if option in ("minute", "hour", "per_class"):
            number = int(text)
            if number < 1:
                raise ValueError
            return number
        share = float(text)
        if not (0 < share <= 1 if option == "share" else 0 < share <= 1e6):
            raise ValueError
        return share
    except (KeyError, ValueError):
        raise SinkError(f"collect: invalid {key}={text}: {_EXPECTED[option]}.") from None


def _band(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split("-"))
    if not 0 <= low < high <= 1:
        raise ValueError
    return low, high


_EXPECTED: Final = {
    "every": "expected seconds, e.g. every=60",
    "unsure": "expected two probabilities or no, e.g. unsure=0.3-0.7",
    "unknown": "expected yes or no",
    "share": "expected a share of the frames above 0 and up to 1, e.g. share=0.001",
    "minute": "expected a whole number of frames",
    "hour": "expected a whole number of frames",
    "per_class": "expected a whole number of frames",
    "mb": "expected megabytes, e.g. mb=200",
}
