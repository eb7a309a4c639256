"""A static host of a channel's folder, which behaves as badly as it is told; and a board that follows it."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.registry import find_installed
from edge.errors import EdgeError
from edge.fleet.following import follow
from edge.fleet.rings import Board
from edge.fleet.state import FollowState, read_state, write_state
from edge.updates.download import Limits
from tests.edge.file_server import Behave, FileServer, Handler, honest, says

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
"""When the tests take place, by the clocks of operator, server and board."""
QUICK = Limits(timeout_s=2.0, tries=1, pause_s=0.0, spare_bytes=0)


class Site(FileServer):
    """Serves a folder. ``bad`` holds what happens to the next requests of a path, and ``date`` its clock."""

    def __init__(self, folder: Path, context: ssl.SSLContext | None = None) -> None:
        super().__init__(b"", context)
        self.RequestHandlerClass = _SiteHandler
        self.folder, self.date = folder, NOW
        self.has_date = True
        self.bad: dict[str, list[Behave]] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/channel.json"


class _SiteHandler(Handler):
    server: Site

    def do_GET(self) -> None:
        path = self.path.split("?")[0].lstrip("/")
        self.server.asked.append(path)
        self.server.requests.append(dict(self.headers.items()))
        place = self.server.folder / path
        waiting = self.server.bad.get(path, [])
        behave = waiting.pop(0) if waiting else honest if place.is_file() else says(404)
        if place.is_file():
            self.server.content = place.read_bytes()
            self.server.etag = f'"{hashlib.sha256(self.server.content).hexdigest()[:8]}"'
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            behave(self)

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Date" or self.server.has_date:
            super().send_header(keyword, value)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.date.timestamp() if timestamp is None else timestamp)


@contextlib.contextmanager
def hosting(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A host at work; over HTTPS, with a context."""
    with Site(folder, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class TestBoard:
    """A board with a folder and a clock of its own."""

    __test__ = False

    folder: Path
    url: str
    key: Path
    id: str = "attic"
    now: datetime = NOW
    group: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def step(self, **options: Any) -> FollowState:
        """One step."""
        return follow(
            self.url,
            self.key,
            Board(id=self.id, group=self.group),
            folder=str(self.folder),
            clock=lambda: self.now,
            **{"limits": QUICK, **self.options, **options},
        )

    def fails(self, *, is_noted: bool = True, **options: Any) -> str:
        """One step, which ends with an error: one line, which is also in the state."""
        with pytest.raises(EdgeError) as error:
            self.step(**options)
        message = str(error.value)
        assert "\n" not in message
        if is_noted:
            assert self.state.phase in ("failed", "watching")  # what is watched goes on being watched
            assert self.state.error == message
        return message

    @property
    def state(self) -> FollowState:
        """What it knows."""
        state = read_state(self.folder)
        assert state is not None
        return state

    @property
    def in_use(self) -> str | None:
        """The version that ``active.json`` names."""
        installed = find_installed("small", (self.folder / "bundles",))
        return installed.active if installed else None

    def settle(self) -> FollowState:
        """Take a step, and another one as if what is watched since had been found good."""
        state = self.step()
        if state.phase != "watching":
            return state
        write_state(state.in_phase("idle", self.now), self.folder)
        return self.step()
