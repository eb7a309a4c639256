"""A connection to an MQTT broker that no broker can end: by what it sends, or by hanging up as soon as it is called."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

__all__ = ["SteadyClient"]

_CONNECT_S: Final = 3.0
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 300.0
"""Between two connections that did not last; a broker that hangs up at once costs some hundred lines of log a day."""
_UNREACHED_S: Final = 30.0
"""Between two tries while there is no broker."""
_LASTING_S: Final = 60.0
"""A connection that lived so long was a good one."""
_WINDOW_S: Final = 10.0
_MOST_BYTES: Final = 1_000_000
"""What a broker may send in a window: all that is expected is a few bytes a second."""
_MOST_QUEUED: Final = 100


class SteadyClient(Client):
    """paho's client, with bounds on what is taken from the broker and how often it is called.

    :meth:`began` and :meth:`broke` are to be called when a connection begins and ends.
    """

    def __init__(
        self,
        *,
        largest_bytes: int,
        on_failure: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a client.

        Args:
            largest_bytes: The largest message to take.
            on_failure: Told why the connection was given up, where it was not the broker that ended it.
            clock: Tells how long connections last.
        """
        super().__init__(CallbackAPIVersion.VERSION2)
        self._largest_bytes, self._on_failure, self._clock = largest_bytes, on_failure, clock
        self._delay_s, self._began_s = _FIRST_S, 0.0
        self._window_s, self._taken_bytes = 0.0, 0
        self._is_over = threading.Event()
        self.connect_timeout = _CONNECT_S
        self.max_queued_messages_set(_MOST_QUEUED)
        self._set_delay(_FIRST_S)

    def began(self) -> None:
        """A connection began."""
        self._began_s = self._clock()

    def broke(self) -> None:
        """It ended: the next one is tried later each time, unless it lasted."""
        lasted = self._clock() - self._began_s >= _LASTING_S
        self._set_delay(_FIRST_S if lasted else min(2 * self._delay_s, _LONGEST_S))

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Serve the connection until :meth:`loop_stop`; paho's own thread would end at what it cannot read."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:  # noqa: BLE001 - whatever a broker's bytes may bring about
                if self._is_over.is_set():
                    return MQTTErrorCode.MQTT_ERR_SUCCESS
                self._on_failure(f"sent what cannot be understood ({type(error).__name__}: {error})")
                self.broke()
                self._is_over.wait(self._delay_s)
                self.connect_async(self.host, self.port, self.keepalive)

    def loop_stop(self) -> MQTTErrorCode:
        """End the thread."""
        self._is_over.set()
        return super().loop_stop()

    def close(self) -> None:
        """Leave the broker, end the thread, and close what may still be open."""
        self.disconnect()
        self.loop_stop()
        if (connection := self.socket()) is not None:
            connection.close()

    def _sock_recv(self, bufsize: int) -> bytes:
        """Take bytes from the broker: paho asks for the rest of a message at once, so that is how long it is.

        Raises:
            ConnectionAbortedError: There are too many.
        """
        if bufsize > self._largest_bytes:
            raise self._refusal(f"announces a message of {bufsize} bytes, more than {self._largest_bytes}")
        now_s = self._clock()
        if now_s - self._window_s > _WINDOW_S:
            self._window_s, self._taken_bytes = now_s, 0
        content: bytes = super()._sock_recv(bufsize)
        self._taken_bytes += len(content)
        if self._taken_bytes > _MOST_BYTES:
            raise self._refusal(f"sent {self._taken_bytes} bytes within {_WINDOW_S:g} s")
        return content

    def _refusal(self, cause: str) -> ConnectionAbortedError:
        self._on_failure(cause)
        return ConnectionAbortedError(cause)

    def _set_delay(self, delay_s: float) -> None:
        self._delay_s = delay_s
        delays: Any = delay_s, max(delay_s, _UNREACHED_S)  # paho says int, and takes floats
        self.reconnect_delay_set(*delays)
