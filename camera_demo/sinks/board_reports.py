"""The board's state in its fleet, at the broker that the answers go to, and the command to look for an update."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from camera_demo.run_state import RunState
from camera_demo.sinks.home_assistant import board_discovery
from camera_demo.sinks.topics import segment
from edge.errors import OutputError
from edge.fleet.health_minute import HealthMinute
from edge.fleet.reporting import INSTALL, health_topic, install_topic, state_topic, to_message
from edge.fleet.requests import request_install
from edge.fleet.state import FollowState

if TYPE_CHECKING:
    from paho.mqtt.client import Client

__all__ = ["BoardReports"]

_log = logging.getLogger(__name__)
_AGAIN_S: Final = 600.0
"""A state that stays the same is told again, so that a board that is silent can be told from one that has no news."""
_REQUEST_S: Final = 60.0
"""The least time between two requests for an update, and between two lines about messages that are none."""


class BoardReports:
    """Publishes the state whenever it changes, and what each minute was like, for a client that somebody else connects.

    For any thread.
    """

    def __init__(
        self,
        client: Client,
        run_state: RunState,
        *,
        availability_topic: str,
        discovery_prefix: str,
        request: Callable[[], None] = request_install,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen to the state of the run.

        Args:
            client: The connection.
            run_state: What the board knows of its channel.
            availability_topic: Where this program says whether it is there.
            discovery_prefix: The topic below which Home Assistant looks for devices; empty to leave it alone.
            request: Asks for the follower's next step.
            clock: Paces messages and requests.
        """
        self._client, self._run_state, self._request, self._clock = client, run_state, request, clock
        self._availability_topic, self._discovery_prefix = availability_topic, discovery_prefix
        self._board_id: str | None = None
        self._again_s = 0.0
        self._request_free_s = self._complaint_free_s = float("-inf")
        self._minute: HealthMinute | None = None
        run_state.subscribe_follow(self._on_follow)
        run_state.subscribe_minutes(self._on_minute)

    def on_connect(self) -> None:
        """Tell everything, and listen to commands. Called when a connection begins."""
        self._board_id = None
        self._on_follow(self._run_state.follow)

    def beat(self, now_s: float) -> None:
        """Tell the state again if it is time."""
        if self._board_id is not None and now_s >= self._again_s:
            self._on_follow(self._run_state.follow)

    def on_message(self, message: Any) -> bool:
        """Take a command; what is none is ignored, and so is one that the broker retained: it is of another day.

        Returns:
            Whether the message was meant for this board's commands.
        """
        board_id, now_s = self._board_id, self._clock()
        if board_id is None or message.topic != install_topic(board_id):
            return False
        if message.payload != INSTALL.encode() or message.retain:
            self._complain(now_s, f"{'retained' if message.retain else repr(bytes(message.payload[:40]))}")
        elif now_s >= self._request_free_s:
            self._request_free_s = now_s + _REQUEST_S
            try:
                self._request()
            except OutputError as error:
                _log.warning("The update that was asked for cannot begin: %s", error)
            else:
                _log.info("An update was asked for at the broker", extra={"event": "update_requested"})
        return True

    def _complain(self, now_s: float, what: str) -> None:
        if now_s >= self._complaint_free_s:
            self._complaint_free_s = now_s + _REQUEST_S
            _log.warning("Ignored a command at the broker: %s, expected %r", what, INSTALL)

    def _on_follow(self, follow: FollowState | None) -> None:
        if not self._client.is_connected():
            return
        board_id = self._board_id  # a new connection, on a thread of its own, begins with none
        if board_id is not None and (follow is None or follow.board_id != board_id):
            self._forget(board_id)
            board_id = None
        if follow is None:
            return
        if board_id is None:
            self._introduce(follow)
        self._again_s = self._clock() + _AGAIN_S
        message = to_message(follow, datetime.now(timezone.utc))
        self._client.publish(state_topic(follow.board_id), message, qos=1, retain=True)

    def _on_minute(self, minute: HealthMinute) -> None:
        self._minute = minute
        board_id = self._board_id
        if board_id is not None and self._client.is_connected():
            self._client.publish(self._health_topic(board_id), minute.to_line(), qos=1, retain=True)

    def _introduce(self, follow: FollowState) -> None:
        self._board_id = follow.board_id
        self._client.subscribe(install_topic(follow.board_id))
        for topic, message in self._discovery(follow.board_id, follow.host).items():
            self._client.publish(topic, message, qos=1, retain=True)
        if self._minute is not None:
            self._on_minute(self._minute)

    def _forget(self, board_id: str) -> None:
        """Take back what the broker retains: the board has another name, or follows nothing any more."""
        self._board_id = None
        self._client.unsubscribe(install_topic(board_id))
        for topic in (state_topic(board_id), self._health_topic(board_id), *self._discovery(board_id, "")):
            self._client.publish(topic, b"", qos=1, retain=True)

    def _health_topic(self, board_id: str) -> str:
        return health_topic(board_id, segment(self._run_state.camera))

    def _discovery(self, board_id: str, host: str) -> dict[str, str]:
        return board_discovery(
            board_id, host, prefix=self._discovery_prefix, availability_topic=self._availability_topic
        )
