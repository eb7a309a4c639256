"""Status of the frame source, set by the thread that reads it and shown by the page, MQTT and the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from edge.files import shown_name

__all__ = ["SourceState", "SourceStatus"]

_log = logging.getLogger(__name__)
State = Literal["opening", "live", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One state of the source."""

    name: str
    state: State
    reason: str = ""
    """Why it gives no frames; empty while it does."""
    since_s: float
    """When this state began, of the status's clock."""
    losses: int = 0
    """How often it broke off so far."""

    def to_dict(self, now_s: float) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "since_s": round(max(0.0, now_s - self.since_s), 1),
            "losses": self.losses,
        }


class SourceStatus:
    """Keeps the source's state, logs each change once, and calls the subscribers.

    A :class:`camera_demo.sources.reconnecting.Report`; every method may be called by any thread.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._status = SourceState(name=name, state="opening", since_s=time.monotonic())
        self._listeners: list[Callable[[SourceState], None]] = []

    @property
    def now(self) -> SourceState:
        """The state of now."""
        return self._status

    def subscribe(self, listener: Callable[[SourceState], None]) -> None:
        """Call ``listener`` at each change, in the thread that caused it; it must not block."""
        self._listeners.append(listener)

    def lost(self, name: str, reason: str) -> None:
        """The source broke off or does not open; said again only for another reason."""
        name, reason = shown_name(name), shown_name(reason)
        now_s = time.monotonic()
        with self._lock:
            before = self._status
            if before.state == "lost" and before.reason == reason:
                return
            since_s = before.since_s if before.state == "lost" else now_s
            losses = before.losses + (before.state == "live")
            after = SourceState(name=before.name, state="lost", reason=reason, since_s=since_s, losses=losses)
            self._status = after
        _log.warning("%s Trying again until it is back.", reason, extra={"event": "source_lost", "losses": losses})
        self._notify(after)

    def found(self, name: str) -> None:
        """The source gives frames."""
        name = shown_name(name)
        now_s = time.monotonic()
        with self._lock:
            before = self._status
            if before.state == "live":
                return
            after = replace(before, name=name, state="live", reason="", since_s=now_s)
            self._status = after
        if before.state == "lost":
            after_s = now_s - before.since_s
            as_other = f", as {name}" if name != before.name else ""
            extra = {"event": "source_found", "after_s": round(after_s, 2)}
            _log.warning("%s is back after %.1f s%s", before.name, after_s, as_other, extra=extra)
        self._notify(after)

    def _notify(self, status: SourceState) -> None:
        for listener in self._listeners:
            listener(status)
