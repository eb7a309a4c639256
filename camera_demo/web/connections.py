"""Limits of each connection: how many there are, and how long a request, its body and its answer may take.

uvicorn's own ``limit_concurrency`` answers 503 and keeps the connection, it waits without end for a first request, and
it reads whatever follows an answer. This front of its protocol class closes instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final, cast

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BoundedConnection", "OncePerMinute"]

_CONNECTIONS: Final = 64
"""Open at once. A further one takes the place of the one that has waited longest without asking anything."""
_REQUEST_S: Final = 10.0
"""Time for a whole request, body included, from the connection or from the answer before it."""
_STALLED_S: Final = 30.0
"""Time for a reader to take what was sent before more is sent."""
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 65_536
"""What is still read, and dropped, after an answer that came before its request ended: so that the answer arrives."""
_RECEIVING: Final = (h11.IDLE, h11.SEND_BODY)


class OncePerMinute:
    """Logs each kind of message at most once a minute, however often it is given. For one thread."""

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._logged_s: dict[str, float] = {}

    def warning(self, kind: str, message: str) -> None:
        """Log ``message`` unless one of this ``kind`` was logged within the last minute."""
        now_s = self._clock()
        if now_s - self._logged_s.get(kind, float("-inf")) >= 60:
            self._logged_s[kind] = now_s
            self._logger.warning("%s", message)


class BoundedConnection(H11Protocol):  # type: ignore[misc, unused-ignore]
    """A connection that is closed when it is one too many, too slow to ask, or too slow to read.

    It is also closed, and says so, after an answer that begins before its request has ended: the rest may never come.
    """

    _deadline: asyncio.TimerHandle | None = None
    """Runs while a request is awaited or arrives."""
    _stall: asyncio.TimerHandle | None = None
    """Runs while what was sent waits to be read."""
    _waiting_since_s = 0.0
    _lingering_bytes: int | None = None
    """Bytes dropped since the last answer; None before it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*args, **kwargs)
        self._app, self.app = self.app, self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, in place of another when all places are taken."""
        if len(self.connections) >= _CONNECTIONS and not self._make_room():
            self.transport = cast(asyncio.Transport, transport)
            self.transport.abort()
            return
        super().connection_made(cast(asyncio.Transport, _LingeringTransport(self, cast(asyncio.Transport, transport))))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timers."""
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        self._deadline = self._stall = None
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; what follows the last answer is dropped, up to a limit."""
        if self._lingering_bytes is None:
            super().data_received(data)
            return
        self._lingering_bytes += len(data)
        if self._lingering_bytes > _LINGER_BYTES:
            self.transport.abort()

    def handle_events(self) -> None:
        """Act on what has arrived, and start or stop the time limit for the request."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Await the next request."""
        super().on_response_complete()
        self._watch()

    def linger(self) -> bool:
        """Drop what still arrives of an unfinished request, for a while; False where all of it is here."""
        if self.conn.their_state is not h11.SEND_BODY:
            return False
        if self._lingering_bytes is None:
            self._lingering_bytes = 0
            self.flow.resume_reading()
            self.transport.write_eof()
            self._arm(_LINGER_S)
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP as JSON, like every other error."""
        body = json.dumps({"error": msg}).encode()
        head = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (
            h11.Response(status_code=400, headers=head, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def pause_writing(self) -> None:
        """Give the reader a limited time to take what was sent."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(_STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader took it."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; an answer that does not await the whole request says that the connection closes."""

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self.conn.their_state is h11.SEND_BODY:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, closing)

    def _watch(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state in _RECEIVING:
            if self._deadline is None:
                self._waiting_since_s = self.loop.time()
                self._arm(_REQUEST_S)
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _arm(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> bool:
        """Close the connection whose request has been awaited longest, else one whose reader does not read."""
        idle = [other for other in self._others() if other._deadline is not None]
        idle = idle or [other for other in self._others() if other._stall is not None]
        if not idle:
            return False
        oldest = min(idle, key=lambda other: other._waiting_since_s)
        oldest.transport.abort()
        oldest.connection_lost(None)  # at once: its place is needed before the loop comes to say so
        return True

    def _others(self) -> list[BoundedConnection]:
        return [cast(BoundedConnection, other) for other in self.connections]


class _LingeringTransport:
    """A transport that closes after its peer has had time to read the answer.

    Closing at once while a request still arrives would reset the connection, and the answer could be lost on its way.
    """

    def __init__(self, connection: BoundedConnection, transport: asyncio.Transport) -> None:
        self._connection, self._transport = connection, transport
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        self._is_closing = True
        if not self._connection.linger():
            self._transport.close()
