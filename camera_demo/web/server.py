"""The server's thread and its socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from camera_demo.errors import SinkError
from edge.errors import os_reason

__all__ = ["Server", "listen"]

_OTHER_PORT: Final = 8080
_CONNECTIONS: Final = 64
"""At once; further ones are turned away, as each costs memory."""
_REQUEST_S: Final = 10.0
"""A connection that has not sent a whole request by then is cut: it takes the place of others."""
_SWEEP_S: Final = 1.0
_HEAD_BYTES: Final = 16_384
_START_S: Final = 10.0
_JOIN_S: Final = 4.0


class Server:
    """Serves an application from a thread of its own."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        """Begin to serve at a socket that listens; it is closed in the end.

        Raises:
            SinkError: The server does not start.
        """
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._first_seen_s: dict[Any, float] = {}
        self._thread = threading.Thread(target=self._run, name=f"page on port {self.port}", daemon=True)
        self._thread.start()
        self._await_start()

    def close(self) -> None:
        """Send everybody home and end the thread. A second call does nothing."""
        self._server.should_exit = True
        self._thread.join(_JOIN_S)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        sweeper = asyncio.create_task(self._sweep())
        await self._server.serve(sockets=[self._socket])
        sweeper.cancel()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # of watchers who never took what was sent
        await asyncio.sleep(0)

    async def _sweep(self) -> None:
        """Cut connections that were opened and then said nothing: uvicorn waits for them without end."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = time.monotonic()
            waiting = {c for c in self._server.server_state.connections if getattr(c, "cycle", None) is None}
            self._first_seen_s = {c: self._first_seen_s.get(c, now_s) for c in waiting}
            for connection, first_s in self._first_seen_s.items():
                if now_s - first_s > _REQUEST_S:
                    connection.transport.abort()

    def _await_start(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end_s:
                self.close()
                raise SinkError(f"The web server on port {self.port} did not start.")
            time.sleep(0.01)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port``, 0 for any that is free.

    Raises:
        SinkError: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as reason:
        raise SinkError(
            f"Cannot serve at {host}: no such host here. Use 127.0.0.1 or this machine's address."
        ) from reason
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as reason:
        listener.close()
        raise SinkError(
            f"Cannot serve at {host}:{port}: {os_reason(reason)}. Choose another port, e.g. http://{host}:{_OTHER_PORT}."
        ) from reason
    return listener
