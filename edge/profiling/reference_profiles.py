"""The profiles that ship: published figures, for boards that are not at hand and to correct predictions."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from edge.board.device import Device
from edge.errors import ProfileError
from edge.profiling.profile import LatencyProfile, load_profile

__all__ = ["nearest_published", "published_profiles"]

_FOLDER: Final = Path(__file__).parents[2] / "profiles"
_SCHEMA: Final = "schema.json"
_PRECISIONS: Final = ("int8", "uint8", "fp16", "fp32")
"""Best first, as a substitute for a bundle of int8 models."""


@cache
def published_profiles(folder: Path = _FOLDER) -> tuple[LatencyProfile, ...]:
    """Every profile that ships, in the order of the file names; empty if the package was installed without them.

    Raises:
        ProfileError: One of them is damaged.
    """
    return tuple(load_profile(path) for path in sorted(folder.glob("*.json")) if path.name != _SCHEMA)


def nearest_published(board: str | Device, folder: Path = _FOLDER) -> LatencyProfile:
    """The published profile that is closest to a board.

    A profile of the same board comes first, then one of a board with the same CPU cores; of several, the one with int8
    models and the fastest. All its rows are marked as published.

    Args:
        board: A board, or words of its name: ``raspberry pi 4``.
        folder: Where the profiles are.

    Raises:
        ProfileError: There is none of that board or of its CPU.
    """
    profiles = [_published_rows(profile) for profile in published_profiles(folder) if profile.source]
    device = Device(board=board) if isinstance(board, str) else board
    same = [p for p in profiles if _is_board(device, p.board)]
    alike = [p for p in profiles if device.cpu is not None and p.device.cpu == device.cpu]
    for found in (same, alike):
        if found:
            return min(found, key=_rank)
    known = ", ".join(sorted({profile.board for profile in profiles}))
    raise ProfileError(
        f"No published profile of {device.board or 'this board'} or of its CPU: "
        + (f"expected one of {known}." if known else "none is installed.")
        + " Measure it on the board itself."
    )


def _is_board(device: Device, board: str) -> bool:
    """Whether every word of the shorter name is in the longer one."""
    one, other = (set(re.findall(r"[a-z0-9]+", name.lower())) for name in (device.board or "", board))
    return bool(one) and (one <= other or other <= one)


def _rank(profile: LatencyProfile) -> tuple[int, float]:
    precision = profile.rows[0].precision or ""
    order = _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)
    return order, profile.rows[0].latency.avg_ms


def _published_rows(profile: LatencyProfile) -> LatencyProfile:
    """Mark the rows as published, because they were measured on another board."""
    return replace(profile, rows=tuple(replace(row, provenance="published") for row in profile.rows))
