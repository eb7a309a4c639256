"""Answers to an MQTT broker, in the form that Home Assistant finds by itself."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from camera_demo.errors import SinkError
from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.base import SinkContext
from camera_demo.sinks.board_reports import BoardReports
from camera_demo.sinks.broker import Broker, broker_of, explain_broker
from camera_demo.sinks.home_assistant import discovery
from camera_demo.sinks.topics import Topics
from camera_demo.source_status import SourceState, SourceStatus
from edge.addresses import redacted
from edge.parts import failed_import
from edge.text import json_text

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from camera_demo.sinks.mqtt_client import SteadyClient

__all__ = ["MqttSink", "open_sink"]

_log = logging.getLogger(__name__)
_CHANGE_S: Final = 0.2
"""The least time between two messages, however often the label changes."""
_KEEPALIVE_S: Final = 30
_CONNECT_S: Final = 3.0
_GOODBYE_S: Final = 1.0
_ONLINE: Final = "online"
_OFFLINE: Final = "offline"
_STUCK_S: Final = 5.0
_SPARE_BYTES: Final = 1000
"""What a message has besides its topic: the longest that is expected of the broker says offline."""


class _Pace(NamedTuple):
    """When the next answer of a region may be published, and when it must."""

    said: tuple[str, str | None] | None = None
    due_s: float = 0.0
    free_s: float = 0.0


_NO_PACE: Final = _Pace()


class MqttSink:
    """Publishes the newest answer: at once when the label changes, else once a second; and each event.

    paho's own thread talks to the broker and comes back to it by itself; while there is none, answers are left out.
    """

    wants_picture = False

    def __init__(
        self,
        broker: Broker,
        source_status: SourceStatus,
        *,
        name: str,
        regions: Sequence[str] = (),
        watched: Sequence[str] = (),
        run_state: RunState | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to connect; a broker that is not there yet is waited for.

        Args:
            broker: Where to publish, and what.
            source_status: State of the frame source.
            name: The broker's address, for people.
            regions: The regions' names.
            watched: The labels that get a topic each.
            run_state: What the board knows of a channel that it follows; None to tell nothing of that.
            clock: Paces the messages.

        Raises:
            SinkError: paho-mqtt is not installed.
        """
        self._broker, self._source_status, self._name, self._clock = broker, source_status, name, clock
        self._client = _client(broker, self._complain)
        self._client.will_set(self._topic("availability"), _OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._topics = Topics(base=broker.topic, regions=tuple(regions), watched=tuple(watched))
        self._pace: dict[str, _Pace] = {}
        self._seen: dict[str, bool] = dict.fromkeys(self._topics.seen(), False)
        self._has_complained = self._is_closed = False
        self._waits_since_s = math.inf
        self._board_reports = None
        if run_state is not None:
            self._board_reports = BoardReports(
                self._client,
                run_state,
                availability_topic=self._topic("availability"),
                discovery_prefix=broker.discovery_prefix,
                clock=clock,
            )
        source_status.subscribe(self._on_source)
        self._client.connect_async(broker.host, broker.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def show(self, result: Result) -> None:
        """Publish the answer if it is time."""
        now_s, region = self._clock(), result.region_name
        if self._board_reports is not None:
            self._board_reports.beat(now_s)
        pace, said = self._pace.get(region, _NO_PACE), (result.label, result.steady)
        is_news = said != pace.said and now_s >= pace.free_s
        if not self._client.is_connected() or not (is_news or now_s >= pace.due_s):
            return
        if self._is_stuck(now_s):
            return
        self._pace[region] = _Pace(said, now_s + self._broker.interval_s, now_s + _CHANGE_S)
        self._publish(self._topics.state(region), json_text(_state(result)))

    def on_event(self, event: Event) -> None:
        """Publish the event, and whether its class is seen, at once."""
        topic = self._topics.seen_of(event.region, event.label)
        if topic is not None:
            self._seen[topic] = not event.is_over
        if self._client.is_connected():
            message = json_text(event.to_dict())
            self._client.publish(self._topics.event(event.region), message, qos=1)
            if topic is not None:
                self._publish_seen(topic)

    def close(self) -> None:
        """Say that nothing more will come, and leave."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._client.is_connected():
            farewell = self._client.publish(self._topic("availability"), _OFFLINE, qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # the connection was lost just now
                farewell.wait_for_publish(_GOODBYE_S)
        self._client.close()

    def _is_stuck(self, now_s: float) -> bool:
        """Whether the broker has taken nothing for a while: what waits for it must not grow."""
        if not self._client.want_write():
            self._waits_since_s = math.inf
        self._waits_since_s = min(self._waits_since_s, now_s)
        return now_s - self._waits_since_s > _STUCK_S

    def _topic(self, leaf: str) -> str:
        return f"{self._broker.topic}/{leaf}"

    def _publish(self, topic: str, text: str, *, retain: bool = False) -> None:
        self._client.publish(topic, text, qos=0, retain=retain)

    def _publish_seen(self, topic: str) -> None:
        self._client.publish(topic, "ON" if self._seen[topic] else "OFF", qos=1, retain=True)

    def _on_connect(self, client: Client, userdata: object, flags: object, reason: Any, *others: object) -> None:
        if reason.is_failure:
            self._complain(f"refuses the connection: {str(reason).lower()}")
            return
        self._has_complained = False
        self._client.began()
        _log.info("Connected to %s", self._name, extra={"event": "mqtt_connected"})
        for topic, message in discovery(self._topics, self._broker.discovery_prefix).items():
            client.publish(topic, message, qos=1, retain=True)
        client.publish(self._topic("availability"), _ONLINE, qos=1, retain=True)
        client.subscribe(self._topic("availability"))
        self._on_source(self._source_status.now)
        for topic in self._seen:
            self._publish_seen(topic)
        if self._board_reports is not None:
            self._board_reports.on_connect()
        self._pace = {}

    def _on_message(self, client: Client, userdata: object, message: Any) -> None:
        """Take back that nothing more will come: another run with this topic ended, or a former connection."""
        if self._board_reports is not None and self._board_reports.on_message(message):
            return
        if message.payload == _OFFLINE.encode() and not self._is_closed:
            client.publish(self._topic("availability"), _ONLINE, qos=1, retain=True)

    def _on_connect_fail(self, client: Client, userdata: object) -> None:
        if not self._has_complained and not self._is_closed:
            self._complain(explain_broker(self._broker, _CONNECT_S))

    def _on_disconnect(self, client: Client, userdata: object, flags: object, reason: Any, *others: object) -> None:
        if reason.is_failure and not self._is_closed:
            self._complain(f"hung up: {str(reason).lower()}")
        self._client.broke()

    def _on_source(self, status: SourceState) -> None:
        self._publish(self._topic("camera"), "ON" if status.state == "live" else "OFF", retain=True)

    def _complain(self, cause: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            _log.warning("%s %s; trying again until it is there", self._name, cause, extra={"event": "mqtt_lost"})


def open_sink(place: str, context: SinkContext) -> MqttSink:
    """Publish to the broker at the address ``place``: ``mqtt://USER:PASSWORD@HOST:PORT/TOPIC``.

    Raises:
        SinkError: The address is invalid, or paho-mqtt is not installed.
    """
    return MqttSink(
        broker_of(place, camera=context.topic),
        context.run_state.source,
        name=redacted(place),
        regions=context.regions,
        watched=context.watched,
        run_state=context.run_state,
    )


def _client(broker: Broker, on_failure: Callable[[str], None]) -> SteadyClient:
    try:
        from camera_demo.sinks.mqtt_client import SteadyClient
    except ImportError as reason:
        raise SinkError(failed_import(reason, "mqtt://")) from reason
    client = SteadyClient(largest_bytes=len(broker.topic.encode()) + _SPARE_BYTES, on_failure=on_failure)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.is_encrypted:
        client.tls_set()
    return client


def _state(result: Result) -> dict[str, Any]:
    """The answer, with the best class on top for programs that want no more."""
    best = result.best
    return {
        "label": result.label if best or result.is_unknown else None,
        "probability": round(best.probability, 4) if best else None,
        **result.to_dict(),
    }
