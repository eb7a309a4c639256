"""The server's thread and its socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from camera_demo.errors import SinkError
from camera_demo.web.connections import BoundedConnection, OncePerMinute
from edge.errors import os_reason

__all__ = ["Server", "listen"]

_log = logging.getLogger(__name__)
_BATCH: Final = 16
"""Connections accepted at once. Each is then read before a further batch could take its place."""
_QUEUE: Final = 1024
"""Connections that the kernel keeps until they are accepted."""
_KEEP_ALIVE_S: Final = 5
_HEAD_BYTES: Final = 16_384
_START_S: Final = 10.0
_JOIN_S: Final = 4.0


class Server:
    """Serves an application from a thread of its own."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        """Begin to serve at a socket that listens; :meth:`close` closes it.

        Raises:
            SinkError: The server does not start.
        """
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            backlog=_BATCH,
            proxy_headers=True,
            forwarded_allow_ips=["127.0.0.1", "::1"],
            h11_max_incomplete_event_size=_HEAD_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._seldom = OncePerMinute(_log)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"page on port {self.port}", daemon=True)
        self._thread.start()
        self._await_start()

    def close(self) -> None:
        """End every connection and the thread. A second call does nothing."""
        self._server.should_exit = True
        self._thread.join(_JOIN_S)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as reason:  # noqa: BLE001 - of a thread nobody would hear of it
            self._failure = reason
            self._seldom.warning("ended", f"The page on port {self.port} ended: {reason!r}.")

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._on_error)
        await self._server.serve(sockets=[self._socket])
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # of watchers who never took what was sent
        await asyncio.sleep(0)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio reports: its own handler writes a traceback for each connection that cannot be accepted."""
        error, message = context.get("exception"), context["message"]
        reason = f"{message}: {os_reason(error)}" if isinstance(error, OSError) else f"{message}: {error!r}"
        self._seldom.warning(message, f"The page on port {self.port}: {reason}.")

    def _await_start(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self._server.started:
            if self._failure is not None or not self._thread.is_alive() or time.monotonic() > end_s:
                self.close()
                raise SinkError(f"The web server on port {self.port} did not start.") from self._failure
            time.sleep(0.01)
        self._socket.listen(_QUEUE)  # uvicorn set it to the size of a batch


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port``, 0 for any that is free.

    Raises:
        SinkError: The host is not one of this machine, or the port is in use.
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
        listener.listen(_QUEUE)
        listener.setblocking(False)
    except OSError as reason:
        listener.close()
        raise SinkError(
            f"Cannot serve at {host}:{port}: {os_reason(reason)}. Choose another port, e.g. http://{host}:{port + 1}."
        ) from reason
    return listener
