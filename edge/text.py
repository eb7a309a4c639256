"""Text that may come from anywhere (labels, names, answers of servers), made safe to be shown."""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = ["clean", "figure", "json_text", "milliseconds", "one_line", "shortened"]

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What may steer a terminal, turn the direction of what follows, or not be encoded; tab and newline stay."""


def clean(text: str) -> str:
    """``text`` without what may steer a terminal: a label, a name or a server's answer is only ever shown.

    Control characters and marks that turn the direction of writing are left out; lone surrogates, which stand for the
    bytes of a name that is not UTF-8, become ``\N{REPLACEMENT CHARACTER}``.
    """
    return _UNSAFE.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else "", text)


def one_line(text: str) -> str:
    """``text``, :func:`clean` and on one line, with single spaces: nothing in it can pass for a line of its own."""
    return clean(" ".join(text.split()))


def shortened(text: str, most: int = 120) -> str:
    """The beginning of ``text``, for a message about something that may be of any length."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def json_text(value: Any, *, indent: int | None = None, default: Any = None) -> str:
    """JSON for programs that is safe on a terminal, too: what :func:`clean` leaves out is escaped, so nothing is lost.

    Raises:
        ValueError: It holds a number that JSON has no word for.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=default)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def figure(value: float | None, digits: int) -> str:
    """A table's cell: a number with so many digits behind the point, or nothing."""
    return "" if value is None else f"{value:.{digits}f}"


def milliseconds(value_ms: float) -> str:
    """A time with two digits behind the point, or with two that matter where it is too short for those."""
    return f"{value_ms:.2f}" if value_ms >= 0.1 else f"{value_ms:.2g}"
