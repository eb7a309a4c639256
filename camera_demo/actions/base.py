"""What every action must do: act without waiting, close. And what it says when it fails."""

from __future__ import annotations

import base64
import json
import logging
import time
from typing import Final, Protocol

from camera_demo.events import Event
from camera_demo.thumbnail import jpeg
from edge.text import one_line

__all__ = ["Action", "Complaints", "message"]

_log = logging.getLogger(__name__)
_PERIOD_S: Final = 60.0
_PICTURE_WIDTH: Final = 320


class Action(Protocol):
    """Something that is done for an event."""

    def act(self, event: Event) -> None:
        """Begin to do it. Never waits for anybody, and raises nothing: what fails is logged."""

    def close(self) -> None:
        """Finish what was begun, within seconds, and free what was taken. A second call does nothing."""


def message(event: Event, camera: str, *, has_picture: bool) -> bytes:
    """The event as JSON for a command or a server, with the best frame as JPEG in base64 where it is asked for."""
    value = event.to_dict() | {"camera": camera}
    if has_picture and event.image is not None:
        value["picture_jpeg"] = base64.b64encode(jpeg(event.image, _PICTURE_WIDTH)).decode("ascii")
    return json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii")


class Complaints:
    """Logs why something failed: each reason at once, the same one again once a minute at most."""

    def __init__(self, name: str) -> None:
        """Complain about the action called ``name``."""
        self._name = name
        self._said = ("", 0.0)

    def say(self, reason: str) -> None:
        """Log a reason."""
        now_s = time.monotonic()
        if self._said[0] != reason or now_s - self._said[1] >= _PERIOD_S:
            self._said = reason, now_s
            _log.warning("%s", one_line(f"{self._name} {reason}"), extra={"event": "action_failed"})
