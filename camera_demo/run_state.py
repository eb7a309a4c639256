"""What a run tells of itself beside its answers: the source, the variant and its budget, the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from camera_demo.control import Control
from camera_demo.source_status import SourceStatus
from edge.board.health import Health, throttle_flags

__all__ = ["RunState"]


class RunState:
    """Shared by the loop and the sinks; each part is set once it is there, and read by any thread."""

    def __init__(self, source_status: SourceStatus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source_status
        self.control: Control | None = None
        """None until the model is loaded."""
        self.health = Health()
        """The last look at the machine."""
        self._clock, self._started_s = clock, clock()

    def on_health(self, health: Health) -> None:
        """Keep a look at the machine."""
        self.health = health

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        now_s = self._clock()
        return {
            "source": self.source.now.to_dict(now_s),
            "variant": None if self.control is None else self.control.to_dict(),
            "machine": _machine(self.health),
            "uptime_s": round(now_s - self._started_s, 1),
        }


def _machine(health: Health) -> dict[str, Any]:
    bits = health.throttle_bits
    return {
        "temperature_c": None if health.temperature_c is None else round(health.temperature_c, 1),
        "clock_mhz": max(health.clock_mhz, default=None),
        "throttling": None if bits is None else list(throttle_flags(bits)),
        "load_percent": health.load_percent,
    }
