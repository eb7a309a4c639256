"""The page's HTML: a head that both halves share, and each half's own."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

__all__ = ["read_page"]


def read_page(name: Literal["page", "teach"]) -> str:
    """One half, whole: ``page`` is the live picture, ``teach`` where pictures are labelled and taught."""
    folder = files("camera_demo") / "web"
    return "".join((folder / f"{part}.html").read_text(encoding="utf-8") for part in ("head", name))
