"""Health minutes to test with."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from edge.fleet.health_minute import HealthMinute, VariantMinute
from edge.fleet.timestamps import timestamp

SWITCH = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
OLD, NEW = "0" * 16, "1" * 16
VARIANT = "mobilenet_v1_0.50_160"


def minute(number: int = 0, version: str = NEW, **changes: Any) -> HealthMinute:
    """A good minute, ``number`` minutes after the switch, or before it below 0."""
    frames, p95_ms = changes.pop("frames", 1800), changes.pop("p95_ms", 12.0)
    values: dict[str, Any] = {
        "ended": timestamp(SWITCH + timedelta(minutes=number + 1)),
        "seconds": 60.0,
        "bundle": "birds",
        "version": version,
        "frames": frames,
        "late": round(0.01 * frames),
        "unknown": round(0.1 * frames),
        "confidence": 0.8 if frames else None,
        "variants": {VARIANT: VariantMinute(frames=frames, p95_ms=p95_ms)} if frames else {},
        "source_up": 1.0,
        "boot": "a",
    }
    return HealthMinute(**{**values, **changes})


def minutes_before(count: int = 120, **changes: Any) -> list[HealthMinute]:
    """Good minutes with the old version, up to the switch."""
    return [minute(number, OLD, **changes) for number in range(-count, 0)]


def minutes_after(count: int = 30, **changes: Any) -> list[HealthMinute]:
    """Good minutes with the new version, from the switch on."""
    return [minute(number, NEW, **changes) for number in range(count)]
