"""Pictures that show one thing from one moment: a burst, a video, one object turned about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["by_burst"]

_LAST_NUMBER = re.compile(r"(?<=.)[-_ ]?\d+$")


def by_burst(paths: Iterable[Path]) -> list[list[Path]]:
    """Pictures together whose names differ only in a last number: ``duck_0.jpg``, ``duck_1.jpg``."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.with_name(_LAST_NUMBER.sub("", path.stem) or path.stem), []).append(path)
    return list(groups.values())
