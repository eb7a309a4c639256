"""Notifications to systemd while this program runs as its service: that it is ready, and that it is alive.

The protocol is sd_notify(3): a datagram to the socket named in ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

__all__ = ["Notifier"]

_MICROSECONDS: Final = 1e-6


class Notifier:
    """Notifies systemd; does nothing if this process is not a service of it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read where to notify.

        Args:
            environment: ``NOTIFY_SOCKET`` is where to, ``WATCHDOG_USEC`` how often at least.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog = environment.get("WATCHDOG_USEC", "")
        # Twice in each period, as sd_watchdog_enabled(3) recommends.
        self._period_s = int(watchdog) * _MICROSECONDS / 2 if watchdog.isdecimal() else None
        self._due_s = 0.0

    @property
    def is_service(self) -> bool:
        """Whether this process is a service of systemd."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """The service has started."""
        self._send(f"READY=1\nSTATUS={status}")

    def beat(self) -> None:
        """Say that the loop is alive. Cheap: most calls only read the clock."""
        if self._period_s is not None and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + self._period_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(text.encode(), self._address)
