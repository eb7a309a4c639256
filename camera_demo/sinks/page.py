"""A web page with the live picture."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from camera_demo.errors import SinkError
from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.base import SinkContext
from edge.parts import failed_import

if TYPE_CHECKING:
    from camera_demo.web.hub import Hub
    from camera_demo.web.metrics import Metrics

__all__ = ["PageSink", "open_sink"]

_TOKEN_BYTES: Final = 16


class PageSink:
    """Serves the newest answer over HTTP from a thread of its own: :mod:`camera_demo.web.app`.

    A slow browser misses frames; the loop never waits for one.
    """

    wants_picture = False
    """Pictures are drawn by the server's thread, for those who watch."""

    def __init__(
        self,
        host: str,
        port: int,
        run_state: RunState,
        *,
        token: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen on ``host`` and ``port``, 0 for any that is free.

        Args:
            host: A name or address of this machine.
            port: The port.
            run_state: State of the run.
            token: What a request must bring along; None where only this machine may connect.
            clock: Seconds; a monotonic one.

        Raises:
            SinkError: The address is not available, or the web libraries are not installed.
        """
        try:
            from camera_demo.web.app import page_app
            from camera_demo.web.hub import Hub
            from camera_demo.web.metrics import Metrics
            from camera_demo.web.server import Server, listen
        except ImportError as reason:
            raise SinkError(failed_import(reason, "http://")) from reason
        self._hub: Hub = Hub(run_state, clock)
        self._metrics: Metrics = Metrics(self._hub)
        self._server = Server(page_app(self._hub, self._metrics, token=token), listen(host, port))
        self.port = self._server.port

    def show(self, result: Result) -> None:
        """Hand the answer to the server's thread."""
        self._metrics.count(result)
        self._hub.publish(result)

    def on_event(self, event: Event) -> None:
        """Hand the event to the server's thread."""
        self._metrics.count_event(event)
        self._hub.publish_event(event)

    def close(self) -> None:
        """End every stream and the thread."""
        self._hub.close()
        self._server.close()


def open_sink(place: str, context: SinkContext) -> PageSink:
    """Serve the page at ``HOST:PORT``, by default 127.0.0.1:8000, and announce its address.

    Where others can reach it, it needs a token, which is part of that address.

    Raises:
        SinkError: The address is invalid or not available, or the web libraries are not installed.
    """
    from camera_demo.web.address import address_of, is_loopback, outward_address

    host, port = address_of(place)
    is_open = not is_loopback(host)
    token = context.token or (secrets.token_urlsafe(_TOKEN_BYTES) if is_open else None)
    sink = PageSink(host, port, context.run_state, token=token)
    address = f"http://{outward_address(host)}:{sink.port}"
    context.announce(f"The live picture is at {address}" + (f"/?token={quote(token, safe='')}" if token else ""))
    if is_open:
        context.announce("The network can reach it. Whoever has the address with the token sees the camera.")
    return sink
