"""Moments as text: in UTC, to the second."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["parse_time", "timestamp"]


def timestamp(moment: datetime) -> str:
    """A moment in UTC, to the second: ``2026-11-27T17:20:00Z``."""
    return moment.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """What :func:`timestamp` wrote, or another ISO 8601 time with an offset.

    Raises:
        ValueError: It is none.
    """
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time: expected 2026-11-27T17:20:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: expected 2026-11-27T17:20:00Z")
    return moment.astimezone(timezone.utc)
