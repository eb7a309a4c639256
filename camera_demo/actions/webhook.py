"""``webhook:https://…``: the event as JSON to a server."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

from camera_demo.actions.base import Complaints, message
from camera_demo.actions.rules import Rule
from camera_demo.errors import ConfigError
from camera_demo.events import Event
from camera_demo.mailbox import Mailbox
from edge.addresses import Address, may_use_proxy, redacted, split_address

__all__ = ["WebhookAction"]

_WAITING: Final = 32
_TIMEOUT_S: Final = 5.0
_PAUSES_S: Final = (1.0, 4.0)
"""Before the second and the third try."""
_POLL_S: Final = 0.5
_FAREWELL_S: Final = 5.0
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class WebhookAction:
    """Sends events one after the other, from a thread of its own, three times where that may help.

    Redirects are not followed: they could carry the event and a password elsewhere. Messages name the host alone, as
    the rest of such an address is often its password.
    """

    def __init__(self, rule: Rule, camera: str, environment: Mapping[str, str] = os.environ) -> None:
        """Check the address and start the thread; nothing is sent yet.

        Args:
            rule: The rule whose target is the address; ``${NAME}`` in it stands for an environment variable.
            camera: The camera's name.
            environment: The environment variables.

        Raises:
            ConfigError: The address is invalid, a variable is not set, or httpx is not installed.
        """
        address = _expanded(rule.target, environment)
        self._host, parts = _host(address), split_address(address, may_log_in=False)
        try:
            import httpx
        except ImportError as reason:
            raise ConfigError("webhook: needs httpx, which is not installed: ./install.sh --with live.") from reason
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the whole address
        self._httpx: Any = httpx
        self._rule, self._camera, self._address = rule, camera, address
        self._client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, mounts=_routes(parts))
        self._complaints = Complaints(f"webhook to {self._host}")
        self._events: Mailbox[Event] = Mailbox(_WAITING)
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"webhook {self._host}", daemon=True)
        self._thread.start()

    def act(self, event: Event) -> None:
        """Leave the event for the thread; if too many wait, the oldest is lost, which is said."""
        before = self._events.dropped
        self._events.put(event)
        if self._events.dropped > before:
            self._complaints.say(f"is too slow: {_WAITING} events wait, older ones are left out")

    def close(self) -> None:
        """Send what waits, for some seconds, without further tries."""
        self._is_ending.set()
        self._events.close()
        self._thread.join(_FAREWELL_S)
        self._client.close()
        self._thread.join(_FAREWELL_S)

    def _run(self) -> None:
        while not self._events.is_finished:
            event = self._events.take(_POLL_S)
            if event is not None:
                reason = self._sent(message(event, self._camera, has_picture=self._rule.picture))
                if reason:
                    self._complaints.say(reason)

    def _sent(self, data: bytes) -> str:
        """Why it could not be sent; empty if it was."""
        reason = ""
        for pause_s in (*_PAUSES_S, None):
            reason, may_help = self._try(data)
            if not reason or not may_help or pause_s is None or self._is_ending.wait(pause_s):
                return reason
        return reason

    def _try(self, data: bytes) -> tuple[str, bool]:
        """Why one try failed, and whether another may help."""
        headers = {"content-type": "application/json", "user-agent": "mobilenet-edge"}
        try:
            with self._client.stream("POST", self._address, content=data, headers=headers) as response:
                status = int(response.status_code)  # the body is of no use, and may have no end
        except self._httpx.TimeoutException:
            return f"failed: no answer within {_TIMEOUT_S:g} s", True
        except self._httpx.TransportError as error:
            return f"failed: cannot be reached ({type(error).__name__})", True
        except (self._httpx.HTTPError, self._httpx.InvalidURL, RuntimeError) as error:
            return f"failed: {type(error).__name__}", False
        if 200 <= status < 300:
            return "", False
        if 300 <= status < 400:
            return f"failed: it answers with a redirect ({status}): give the final address", False
        return f"failed: it answers {status}", status >= 500 or status in _TRY_AGAIN


def _routes(address: Address) -> Mapping[str, None] | None:
    """Past the environment's proxies, where none may be asked."""
    is_direct = not may_use_proxy(address.scheme, address.host)
    return dict.fromkeys(("all://", "http://", "https://")) if is_direct else None


def _expanded(address: str, environment: Mapping[str, str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1])
        if value is None:
            raise ConfigError(f"webhook: the environment variable {match[1]} is not set.")
        return value

    return _VARIABLE.sub(value_of, address)


def _host(address: str) -> str:
    """Host and port, for messages; nothing where they may be a piece of a password."""
    try:
        parts = split_address(address, may_log_in=False)
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https"):
        raise ConfigError("webhook: the address is invalid: expected https://HOST/PATH.")
    return "***" if redacted(address).endswith("://***") else parts.host_and_port
