"""Configuration files in TOML."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final

from edge.errors import EdgeError, os_reason
from edge.parts import failed_import

__all__ = ["read_toml"]

_MOST_BYTES: Final = 1_000_000


def read_toml(path: Path, error: type[EdgeError]) -> dict[str, Any]:
    """The values in a configuration file.

    Args:
        path: The file, in UTF-8 with or without a byte order mark.
        error: The class to raise.

    Raises:
        EdgeError: As ``error``: it is missing, too long, not TOML, or this Python lacks what reads TOML.
    """
    try:
        toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as reason:
        raise error(failed_import(reason, f"Reading {path} with Python 3.10")) from reason
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise error(f"Configuration {path} is longer than {_MOST_BYTES} bytes: that is another file.")
        values: dict[str, Any] = toml.loads(content.decode("utf-8-sig"))
    except EdgeError:
        raise
    except OSError as reason:
        raise error(f"Cannot read configuration {path}: {os_reason(reason)}.") from reason
    except (ValueError, RecursionError) as reason:
        raise error(f"Configuration {path} is not TOML: {str(reason) or 'nested too deeply'}.") from reason
    return values
