"""A web page with the live picture: the server's thread and its address."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from camera_demo.frames import Shown
from camera_demo.sinks.contract import SinkContext
from edge.errors import SinkError, os_reason

if TYPE_CHECKING:
    from camera_demo.sinks.page_app import Hub

__all__ = ["PageSink", "address_of", "is_loopback", "open_sink"]

_PORT: Final = 8000
_VIEWERS: Final = 64
"""Connections at once; further ones are turned away, as each costs memory."""
_START_S: Final = 10.0
_JOIN_S: Final = 4.0


class PageSink:
    """Serves the newest answer over HTTP from a thread of its own.

    ``/`` is the page, ``/stream.mjpg`` the picture, ``/state`` and ``/events`` the answer, ``/healthz`` for watchdogs.
    A slow browser misses frames; the loop never waits for one.
    """

    def __init__(self, host: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen on ``host`` and ``port``, 0 for any that is free.

        Raises:
            SinkError: The address cannot be had, or the web libraries are not installed.
        """
        try:
            import uvicorn

            from camera_demo.sinks.page_app import Hub, page_app
        except ImportError as reason:
            message = f"http:// needs {reason.name}, which is not installed: pip install 'mobilenet-edge[live]'."
            raise SinkError(message) from reason
        self._hub: Hub = Hub(clock)
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            page_app(self._hub),
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=_VIEWERS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name=f"page on port {self.port}", daemon=True)
        self._thread.start()
        self._await_start()

    @property
    def wants_picture(self) -> bool:
        """Whether somebody watches the picture."""
        return self._hub.viewers > 0

    def show(self, shown: Shown) -> None:
        """Hand the answer to the server's thread."""
        self._hub.publish(shown)

    def close(self) -> None:
        """Send the watchers home and end the thread."""
        self._hub.close()
        self._server.should_exit = True
        self._thread.join(_JOIN_S)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._serve_until_closed())

    async def _serve_until_closed(self) -> None:
        await self._server.serve(sockets=[self._socket])
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # of watchers who never took what was sent
        await asyncio.sleep(0)

    def _await_start(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end_s:
                self.close()
                raise SinkError(f"The web server on port {self.port} did not start.")
            time.sleep(0.01)


def open_sink(place: str, context: SinkContext) -> PageSink:
    """Serve the page at ``HOST:PORT``, by default 127.0.0.1:8000, and say where.

    Raises:
        SinkError: The address makes no sense or cannot be had, or the web libraries are not installed.
    """
    host, port = address_of(place)
    sink = PageSink(host, port)
    shown_host = f"[{host}]" if ":" in host else host
    context.announce(f"The live picture is at http://{shown_host}:{sink.port}")
    if not is_loopback(host):
        context.announce(
            f"WARNING: {host} is open to the network: everybody who reaches this machine sees the camera, "
            f"without a password. Only for this machine: http://127.0.0.1:{sink.port}"
        )
    return sink


def address_of(place: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, each of which may be left out.

    >>> address_of(":8080"), address_of("[::1]")
    (('127.0.0.1', 8080), ('::1', 8000))

    Raises:
        SinkError: It is no such address.
    """
    try:
        parts = urlsplit(f"http://{place}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise SinkError(
            f"'http://{place}' is no address to serve at: expected http://HOST:PORT, e.g. http://127.0.0.1:8000."
        )
    return host, _PORT if port is None else port


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as reason:
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
            f"Cannot serve at {host}:{port}: {os_reason(reason)}. Choose another port, e.g. http://{host}:{_PORT + 80}."
        ) from reason
    return listener
