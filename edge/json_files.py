"""JSON in files, with clear errors and bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from edge.errors import EdgeError, os_reason

__all__ = ["parse_json", "read_json", "to_json"]

_MOST_JSON_BYTES: Final = 8_000_000
"""The longest JSON file that is read: as values it may take twenty times the memory."""


def to_json(value: Any) -> str:
    """Indented JSON ending in a newline. Not-a-number and infinity are refused: JSON has no word for them."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, what: str, error: type[EdgeError]) -> dict[str, Any]:
    """The JSON object in ``path``.

    Args:
        path: The file to read.
        what: What the file is, for the message: "bundle manifest".
        error: The class to raise.

    Raises:
        EdgeError: As ``error``: the file is missing, unreadable, not JSON, or not an object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_JSON_BYTES + 1)
    except OSError as reason:
        raise error(f"Cannot read {what} {path}: {os_reason(reason)}.") from reason
    if len(content) > _MOST_JSON_BYTES:
        raise error(f"{what.capitalize()} {path} is longer than {_MOST_JSON_BYTES} bytes: that is another file.")
    return parse_json(content, f"{what.capitalize()} {path}", error)


def parse_json(content: bytes, what: str, error: type[EdgeError]) -> dict[str, Any]:
    """The JSON object in ``content``.

    Args:
        content: UTF-8, with or without a byte order mark.
        what: What it is, to begin a message with: "Bundle manifest FILE".
        error: The class to raise.

    Raises:
        EdgeError: As ``error``: it is not JSON, or not an object.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except ValueError as reason:
        raise error(f"{what} is not JSON ({reason}): the file is damaged or cut short.") from reason
    except RecursionError as reason:
        raise error(f"{what} is nested too deeply to be one: expected a JSON object.") from reason
    if not isinstance(value, dict):
        raise error(f"{what} holds a JSON {type(value).__name__}: expected an object.")
    return value
