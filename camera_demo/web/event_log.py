"""The last events with small pictures, for the page."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final

from camera_demo.events import Event
from camera_demo.thumbnail import jpeg

__all__ = ["EventLog"]

_KEPT: Final = 50
_WIDTH: Final = 240
_WAITING: Final = 8
"""Pictures that wait to be encoded; of events beyond, there is none."""


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    revision: int
    event: Event
    picture: bytes | None = None

    def to_dict(self) -> dict[str, Any]:
        value = {"id": self.key, **self.event.to_dict(), "duration_s": round(self.event.duration_s, 3)}
        return value | {"picture": None if self.picture is None else f"/api/recent-events/{self.key}.jpg"}


class EventLog:
    """The newest events, in bounded memory: pictures are kept as small JPEGs, encoded in a thread of their own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._revision = self._waiting = 0
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="event pictures")

    def add(self, event: Event) -> None:
        """Keep an event that has begun, or replace it by the one that is over. Never waits."""
        key = f"{event.region}-{event.number}" if event.region else str(event.number)
        with self._lock:
            before = self._entries.get(key)
            self._put(_Entry(key, 0, replace(event, image=None), None if before is None else before.picture))
            image = event.image if self._waiting < _WAITING else None
            self._waiting += image is not None
        if image is not None:
            self._encoder.submit(self._encode, key, event)

    def since(self, revision: int) -> tuple[int, list[dict[str, Any]]]:
        """The newest revision, and what has changed since another, oldest change first."""
        with self._lock:
            changed = [entry for entry in self._entries.values() if entry.revision > revision]
            return self._revision, [entry.to_dict() for entry in sorted(changed, key=lambda entry: entry.revision)]

    def to_list(self) -> list[dict[str, Any]]:
        """The events as JSON values, newest first."""
        with self._lock:
            return [entry.to_dict() for entry in reversed(self._entries.values())]

    def picture(self, key: str) -> bytes | None:
        """An event's best frame as JPEG; None where there is none."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else entry.picture

    def close(self) -> None:
        """End the thread."""
        self._encoder.shutdown(cancel_futures=True)

    def _put(self, entry: _Entry) -> None:
        self._revision += 1
        self._entries[entry.key] = replace(entry, revision=self._revision)
        while len(self._entries) > _KEPT:
            self._entries.popitem(last=False)

    def _encode(self, key: str, event: Event) -> None:
        picture = None if event.image is None else jpeg(event.image, _WIDTH)
        with self._lock:
            self._waiting -= 1
            entry = self._entries.get(key)
            if entry is not None and entry.event.is_over <= event.is_over:  # else a later picture is on its way
                self._put(replace(entry, picture=picture))
