"""Answers as JSON, errors included, that always can be encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

__all__ = ["Json", "error", "to_json_text"]


def to_json_text(value: Any) -> str:
    """``value`` as JSON in ASCII: a file's name may hold bytes (lone surrogates) that UTF-8 cannot.

    Raises:
        ValueError: A number in it is not finite.
    """
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class Json(JSONResponse):
    """An answer in JSON."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return to_json_text(content).encode("ascii")


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Json:
    """An error as ``{"error": message}``."""
    return Json({"error": message}, status, headers)
