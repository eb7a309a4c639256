"""State of a run beside its answers: the source, the variant and its budget, the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from camera_demo.control import Control
from camera_demo.source_status import SourceStatus
from edge.board.health import Health, throttle_flags
from edge.bundles.bundle import Bundle
from edge.fleet.health_minute import HealthMinute
from edge.fleet.state import FollowState

if TYPE_CHECKING:
    from camera_demo.collecting.collector import Collector
    from camera_demo.teaching import Teacher

__all__ = ["RunState"]


class RunState:
    """Shared by the loop and the sinks; written by the loop, read by any thread."""

    def __init__(
        self, source_status: SourceStatus, *, camera: str = "camera", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.source = source_status
        self.camera = camera
        """What the camera is called."""
        self.announces = False
        """Whether classes are announced, so that there are events."""
        self.collector: Collector | None = None
        """Keeps pictures, where there is an output ``collect:DIR``."""
        self.teacher: Teacher | None = None
        """Learns from those pictures."""
        self._follow: FollowState | None = None
        self._follow_subscribers: list[Callable[[FollowState | None], None]] = []
        self._minute_subscribers: list[Callable[[HealthMinute], None]] = []
        self._measuring: tuple[str, float] | None = None
        self._control: Control | None = None
        self.health = Health()
        """The latest sample."""
        self.bundle: Bundle | None = None
        """What is in use; None until it is loaded."""
        self.refused: tuple[str, str] | None = None
        """A version of it that is active and cannot be loaded, and why."""
        self._clock, self._started_s = clock, clock()

    @property
    def control(self) -> Control | None:
        """Control of the classifier; None until the model is loaded."""
        return self._control

    def measuring(self, stage: str, share: float) -> None:
        """Say that the machine is being measured: which variant, and the share done, 0 to 1."""
        self._measuring = stage, share

    def loaded(self, control: Control, bundle: Bundle | None = None) -> None:
        """Say that the model is loaded, and which bundle it is of."""
        self._control, self._measuring, self.bundle = control, None, bundle

    def on_health(self, health: Health) -> None:
        """Keep a sample of the machine's health."""
        self.health = health

    @property
    def follow(self) -> FollowState | None:
        """What the board knows of the channel that it follows; None where it follows none."""
        return self._follow

    def on_follow(self, follow: FollowState | None) -> None:
        """Keep what the board knows of its channel, and pass it on."""
        self._follow = follow
        for tell in tuple(self._follow_subscribers):
            tell(follow)

    def subscribe_follow(self, tell: Callable[[FollowState | None], None]) -> None:
        """Call ``tell`` at each change, from whichever thread notices it; it must not block."""
        self._follow_subscribers.append(tell)

    def on_minute(self, minute: HealthMinute) -> None:
        """Pass on what a minute was like."""
        for tell in tuple(self._minute_subscribers):
            tell(minute)

    def subscribe_minutes(self, tell: Callable[[HealthMinute], None]) -> None:
        """Call ``tell`` with each minute that is over, from whichever thread ends it; it must not block."""
        self._minute_subscribers.append(tell)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        now_s = self._clock()
        measuring = self._measuring
        return {
            "camera": self.camera,
            "announces": self.announces,
            "collects": self.collector is not None,
            "measuring": None if measuring is None else {"stage": measuring[0], "share": round(measuring[1], 3)},
            "source": self.source.now.to_dict(now_s),
            "bundle": None if self.bundle is None else self._bundle(self.bundle),
            "variant": None if self.control is None else self.control.to_dict(),
            "machine": _machine(self.health),
            "uptime_s": round(now_s - self._started_s, 1),
        }

    def _bundle(self, bundle: Bundle) -> dict[str, Any]:
        refused = None if self.refused is None else dict(zip(("version", "reason"), self.refused, strict=True))
        return {"name": bundle.name, "version": bundle.version, "refused": refused}


def _machine(health: Health) -> dict[str, Any]:
    bits = health.throttle_bits
    return {
        "temperature_c": None if health.temperature_c is None else round(health.temperature_c, 1),
        "clock_mhz": max(health.clock_mhz, default=None),
        "throttling": None if bits is None else list(throttle_flags(bits)),
        "load_percent": health.load_percent,
    }
