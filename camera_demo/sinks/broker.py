"""An MQTT broker as an address: where to publish and what, and why it cannot be reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from camera_demo.errors import SinkError
from camera_demo.sinks.topics import segment
from edge.addresses import ENCODING_HINT, redacted, split_address
from edge.errors import os_reason

__all__ = ["Broker", "broker_of", "explain_broker"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_OPTIONS: Final = frozenset({"interval", "discovery"})
_PASSWORD: Final = "MQTT_PASSWORD"
_INTERVAL_S: Final = 1.0
_INTERVALS_S: Final = (0.2, 3600.0)
_LONGEST_TOPIC: Final = 60_000
"""In bytes. MQTT has 65,535, of which what comes behind takes some."""

_LONGEST_LOGIN: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where to publish, and what."""

    host: str
    port: int
    topic: str
    """What all topics begin with."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False
    interval_s: float = _INTERVAL_S
    """Between two messages while the label stays the same."""
    discovery_prefix: str = "homeassistant"
    """Topic below which Home Assistant looks for devices; empty to leave it alone."""


def broker_of(address: str, environment: Mapping[str, str] = os.environ, *, camera: str = "") -> Broker:
    """The broker of an address; the password may also stand in the environment variable ``MQTT_PASSWORD``.

    >>> broker_of("mqtt://me@broker/attic").topic
    'attic'

    Args:
        address: The address.
        environment: The environment's variables.
        camera: What tells the camera from others of this machine; it ends the topic where the address names none.

    Raises:
        SinkError: It is not such an address.
    """
    try:
        parts = split_address(address)
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        interval_s = float(options.get("interval", [str(_INTERVAL_S)])[0])
    except ValueError:
        raise _no_address(address) from None
    topic, prefix = unquote(parts.path).strip("/"), _prefix(options.get("discovery", ["homeassistant"])[0])
    is_known = parts.scheme in _PORTS and not options.keys() - _OPTIONS
    is_timely = _INTERVALS_S[0] <= interval_s <= _INTERVALS_S[1]
    is_short = all(len((text or "").encode()) <= _LONGEST_LOGIN for text in (parts.user, parts.password))
    if "#" in address or not is_short or not (_is_topic(topic) and _is_topic(prefix) and is_known and is_timely):
        raise _no_address(address)
    default = "/".join(filter(None, ("mobilenet-edge", segment(socket.gethostname()), segment(camera))))
    return Broker(
        host=parts.host,
        port=parts.port or _PORTS[parts.scheme],
        topic=topic or default,
        user=parts.user,
        password=environment.get(_PASSWORD) if parts.password is None else parts.password,
        is_encrypted=parts.scheme == "mqtts",
        interval_s=interval_s,
        discovery_prefix=prefix,
    )


def explain_broker(broker: Broker, timeout_s: float) -> str:
    """Why a broker cannot be connected to, which paho does not say."""
    try:
        socket.create_connection((broker.host, broker.port), timeout_s).close()
    except OSError as reason:
        return f"cannot be reached: {os_reason(reason)}"
    if broker.is_encrypted:
        return "answers, but not with TLS and a certificate that this machine trusts: check mqtts:// and the port"
    return "cannot be reached"


def _is_topic(text: str) -> bool:
    """Whether messages can be published below a topic (MQTT 5, 4.7); True for an empty one."""
    try:
        is_short = len(text.encode()) <= _LONGEST_TOPIC
    except UnicodeEncodeError:
        return False
    return is_short and not set(text) & set("+#\0") and not text.startswith("$")


def _no_address(address: str) -> SinkError:
    return SinkError(
        f"'{redacted(address)}' is not a broker's address: expected mqtt://USER:PASSWORD@HOST:PORT/TOPIC, where only "
        f"HOST is needed and TOPIC has no + or #, with ?interval=SECONDS ({_INTERVALS_S[0]:g} to {_INTERVALS_S[1]:g}) "
        f"and ?discovery=PREFIX or off. {ENCODING_HINT}."
    )


def _prefix(text: str) -> str:
    return "" if text == "off" else text.strip("/")
