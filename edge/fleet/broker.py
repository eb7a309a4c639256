"""An MQTT broker as the follower and the operator's commands use it: for seconds, and with nothing taken on trust."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from edge.addresses import ENCODING_HINT, redacted, split_address
from edge.errors import ChannelError, os_reason
from edge.parts import failed_import

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["BrokerAddress", "Publisher", "broker_address", "collect"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PASSWORD: Final = "MQTT_PASSWORD"
_CONNECT_S: Final = 5.0
_FAREWELL_S: Final = 5.0
_KEEPALIVE_S: Final = 30
_MOST_BYTES: Final = 100_000_000
"""What is taken of all messages together: those of a fleet of a hundred thousand boards."""
_SPARE_BYTES: Final = 1000
"""What a message has besides its content: its topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where a broker is, and who logs in there."""

    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False
    name: str
    """For messages: without what is secret."""


def broker_address(text: str, environment: Mapping[str, str] = os.environ) -> BrokerAddress:
    """The broker at ``mqtt://USER:PASSWORD@HOST:PORT``, or ``mqtts://``; what stands behind it is passed over.

    >>> broker_address("mqtt://me@broker/attic", {"MQTT_PASSWORD": "x"}).port
    1883

    Args:
        text: The address.
        environment: Holds the password, ``MQTT_PASSWORD``, where the address does not.

    Raises:
        ChannelError: It is not such an address.
    """
    try:
        parts = split_address(text)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ChannelError(
            f"'{redacted(text)}' is not a broker's address: expected mqtt://USER:PASSWORD@HOST:PORT. {ENCODING_HINT}."
        ) from None
    return BrokerAddress(
        host=parts.host,
        port=port,
        user=parts.user,
        password=environment.get(_PASSWORD) if parts.password is None else parts.password,
        is_encrypted=parts.scheme == "mqtts",
        name=redacted(text),
    )


class Publisher:
    """Keeps one retained message up to date while a block runs. A broker that is away holds up nobody.

    One message is on its way at a time; of what is given meanwhile, or while there is no connection, only the newest
    is sent. The end of the block waits a few seconds for the last to arrive.
    """

    def __init__(self, broker: BrokerAddress, announce: Callable[[str], None] = lambda message: None) -> None:
        """Prepare a client.

        Args:
            broker: The broker.
            announce: Takes one line if the last message did not arrive.

        Raises:
            ChannelError: paho-mqtt is not installed.
        """
        self._broker, self._announce = broker, announce
        self._reason = "it does not answer"
        self._client = _client(broker, on_failure=self._on_failure)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._lock = threading.Lock()
        self._newest: tuple[str, str] | None = None
        self._sent: tuple[str, str] | None = None
        self._awaited: int | None = None
        self._has_arrived = threading.Event()
        self._has_arrived.set()

    def __enter__(self) -> Publisher:
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        return self

    def publish(self, topic: str, message: str) -> None:
        """Replace what the broker retains for ``topic``. Does not wait."""
        with self._lock:
            self._newest = topic, message
            self._has_arrived.clear()
            if self._client.is_connected() and self._awaited is None:
                self._send()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._has_arrived.wait(_FAREWELL_S):
            self._announce(
                f"{self._broker.name} does not take this board's state: {self._reason}. The next step tries again."
            )
        self._client.disconnect()
        self._client.loop_stop()
        if (connection := self._client.socket()) is not None:
            connection.close()

    def _send(self) -> None:
        """Send the newest message; the lock is held."""
        if self._newest is not None:
            self._sent, (topic, message) = self._newest, self._newest
            self._awaited = self._client.publish(topic, message, qos=1, retain=True).mid

    def _on_connect(self, client: Client, userdata: object, flags: object, reason: Any, *others: object) -> None:
        if reason.is_failure:
            self._reason = str(reason).lower()
            return
        self._reason = "it does not confirm it"
        with self._lock:
            self._send()

    def _on_failure(self, failure: OSError) -> None:
        self._reason = os_reason(failure)

    def _on_publish(self, client: Client, userdata: object, mid: int, *others: object) -> None:
        with self._lock:
            if mid != self._awaited:
                return
            self._awaited = None
            if self._newest == self._sent:
                self._has_arrived.set()
            else:
                self._send()


def collect(
    broker: BrokerAddress,
    *topics: str,
    most_bytes: int,
    quiet_s: float = 1.0,
    timeout_s: float = 30.0,
) -> dict[str, bytes]:
    """What a broker retains, by topic: all that comes until nothing has come for a while.

    Args:
        broker: The broker.
        topics: The topics, with ``+`` for any name.
        most_bytes: Of a message. A broker that sends a longer one is not listened to any more.
        quiet_s: Seconds without a message after which there are no more.
        timeout_s: Seconds in which the broker has to answer, and after which no more is taken. A broker that cannot be
            reached for a reason that does not pass is not waited for.

    Raises:
        ChannelError: The broker cannot be reached, does not let this client in, sends too much, or paho-mqtt is not
            installed.
    """
    found: dict[str, bytes] = {}
    news, subscribed, is_over = threading.Event(), threading.Event(), threading.Event()
    refusal, failures = list[str](), list[str]()
    taken_bytes = 0

    def refuse(cause: str) -> None:
        refusal.append(cause)
        news.set()

    def on_connect(client: Client, userdata: object, flags: object, reason: Any, *others: object) -> None:
        if reason.is_failure:
            refuse(f"refuses the connection: {str(reason).lower()}")
        else:
            client.subscribe([(topic, 0) for topic in topics])

    def on_disconnect(client: Client, userdata: object, *others: object) -> None:
        if not subscribed.is_set() and not is_over.is_set():
            refuse("ends the connection without an answer: expected MQTT there, and mqtts:// for MQTT over TLS")

    def on_subscribe(client: Client, userdata: object, mid: int, reasons: list[Any], *others: object) -> None:
        if any(reason.is_failure for reason in reasons):
            refuse("does not let this user read what the boards tell")
        subscribed.set()
        news.set()

    def on_message(client: Client, userdata: object, message: Any) -> None:
        nonlocal taken_bytes
        taken_bytes += len(message.payload)
        if taken_bytes > _MOST_BYTES:
            refuse(f"sent {taken_bytes} bytes, which no fleet does")
        elif message.payload:
            found[message.topic] = message.payload
        else:
            found.pop(message.topic, None)
        news.set()

    def on_failure(failure: OSError) -> None:
        failures.append(os_reason(failure))
        if not isinstance(failure, TimeoutError) and failure.errno != socket.EAI_AGAIN:
            refuse(f"cannot be reached: {failures[-1]}")

    client = _client(broker, most_bytes + _SPARE_BYTES, refuse, on_failure)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.on_disconnect = on_disconnect
    end_s = time.monotonic() + timeout_s
    client.connect_async(broker.host, broker.port, keepalive=_KEEPALIVE_S)
    client.loop_start()
    try:
        while (left_s := end_s - time.monotonic()) > 0 and not refusal:
            news.clear()
            if not news.wait(min(quiet_s, left_s) if subscribed.is_set() else left_s) and subscribed.is_set():
                break
    finally:
        is_over.set()
        client.disconnect()
        client.loop_stop()
    if refusal:
        raise ChannelError(f"{broker.name} {refusal[0]}.")
    if not subscribed.is_set():
        reason = failures[-1] if failures else "it does not answer"
        raise ChannelError(f"{broker.name} cannot be reached within {timeout_s:g} s: {reason}.")
    return found


def _client(
    broker: BrokerAddress,
    most_bytes: int = _SPARE_BYTES,
    refuse: Callable[[str], None] = lambda cause: None,
    on_failure: Callable[[OSError], None] = lambda failure: None,
) -> Client:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as reason:
        raise ChannelError(failed_import(reason, "mqtt://")) from reason

    class BoundedClient(Client):
        def reconnect(self) -> Any:
            try:
                return super().reconnect()
            except OSError as failure:  # paho tries again, and says nothing
                on_failure(failure)
                raise

        def _sock_recv(self, bufsize: int) -> bytes:
            if bufsize > most_bytes:  # paho asks for the rest of a message at once
                refuse(f"announces a message of {bufsize} bytes, more than {most_bytes}")
                raise ConnectionAbortedError("the message is too long")
            content: bytes = super()._sock_recv(bufsize)
            return content

    client = BoundedClient(CallbackAPIVersion.VERSION2)
    client.connect_timeout = _CONNECT_S
    client.reconnect_delay_set(1, 2)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.is_encrypted:
        client.tls_set()
    return client
