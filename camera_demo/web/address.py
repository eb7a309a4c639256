"""Addresses to serve at."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Final

from camera_demo.errors import SinkError
from edge.addresses import redacted, split_address

__all__ = ["address_of", "is_loopback", "outward_address"]

_HOST: Final = "127.0.0.1"
_PORT: Final = 8000


def address_of(address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, each of which may be left out.

    >>> address_of(":8080"), address_of("[::1]")
    (('127.0.0.1', 8080), ('::1', 8000))

    Raises:
        SinkError: It is anything else.
    """
    text = f"http://{'' if address[:1] not in ('', ':', '/') else _HOST}{address}"
    try:
        parts = split_address(text)
        is_place = parts.path in ("", "/") and not (parts.query or parts.fragment) and parts.user is None
    except ValueError:
        is_place = False
    if not is_place:
        name = redacted(f"http://{address}")
        raise SinkError(
            f"invalid address '{name}': expected http://HOST:PORT, with a port up to 65535, e.g. "
            f"http://{_HOST}:{_PORT}. A camera is an input: name it first."
        )
    return parts.host, _PORT if parts.port is None else parts.port


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def outward_address(host: str) -> str:
    """``host`` as other machines reach it: for ``0.0.0.0`` and ``::``, this machine's own address on the network."""
    with contextlib.suppress(ValueError, OSError):
        if ipaddress.ip_address(host).is_unspecified:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                # Sends nothing: the kernel only looks up the route. Both addresses are reserved for documentation.
                probe.connect(("2001:db8::1" if ":" in host else "192.0.2.1", 9))
                host = probe.getsockname()[0]
    return f"[{host}]" if ":" in host else host
