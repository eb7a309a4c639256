"""A broker that hangs up at once, sends hundreds of megabytes, or what is no MQTT: it costs nothing but itself."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from camera_demo.frames import Result
from camera_demo.sinks import mqtt_client
from camera_demo.sinks.broker import Broker
from camera_demo.sinks.mqtt import MqttSink
from camera_demo.sinks.mqtt_client import SteadyClient
from camera_demo.source_status import SourceStatus
from tests.waiting import eventually

CONNECTED = b"\x20\x02\x00\x00"
TOPIC = b"\x00\x03x/y"
Talk = Callable[[socket.socket], None]


def length(number: int) -> bytes:
    """A length as MQTT writes it."""
    found = bytearray()
    while True:
        number, digit = divmod(number, 128)
        found.append(digit | (128 if number else 0))
        if not number:
            return bytes(found)


class Hostile:
    """A broker that takes a connection, says that all is well, and then does what it likes."""

    def __init__(self, talk: Talk) -> None:
        self._talk, self._server, self.connections = talk, socket.create_server(("127.0.0.1", 0)), 0
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(30)
                    connection.recv(4096)
                    connection.sendall(CONNECTED)
                    self._talk(connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def talking(
    source_status: SourceStatus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[Talk], tuple[Hostile, MqttSink]]]:
    """A sink that is connected to a broker of ours; it waits a hundredth of a second where it would wait one."""
    monkeypatch.setattr(mqtt_client, "_FIRST_S", 0.01)
    monkeypatch.setattr(mqtt_client, "_LONGEST_S", 0.05)
    caplog.set_level("INFO")
    opened = contextlib.ExitStack()

    def start(talk: Talk) -> tuple[Hostile, MqttSink]:
        broker = Hostile(talk)
        opened.callback(broker.close)
        sink = MqttSink(Broker(host="127.0.0.1", port=broker.port, topic="attic"), source_status, name="the broker")
        opened.callback(sink.close)
        return broker, sink

    with opened:
        yield start


def until_it_hangs_up(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x30" + length(250_000_000) + TOPIC, "announces a message of 250000000 bytes, more than 1005"),
        (b"\x30" + length(1000) + TOPIC + bytes(995), "sent 100"),
        (b"\x32\x04\x00\x01x\x00", "sent what cannot be understood"),
        (b"\xff\xff\xff\xff\xff", "hung up"),
        (b"\x90\x00", "hung up"),
    ],
    ids=["250 MB", "many", "cut off", "a length without end", "empty"],
)
def test_what_a_broker_sends_ends_the_connection_alone(
    talking: Callable[[Talk], tuple[Hostile, MqttSink]], caplog: pytest.LogCaptureFixture, sent: bytes, said: str
) -> None:
    def talk(connection: socket.socket) -> None:
        for _ in range(2000):
            connection.sendall(sent)
        until_it_hangs_up(connection)

    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    broker, sink = talking(talk)
    eventually(lambda: broker.connections > 2)
    assert said in caplog.text or "hung up" in caplog.text
    assert "Traceback" not in caplog.text
    sink.close()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - before_mb < 50


def test_a_broker_that_hangs_up_is_called_ever_less_often(
    talking: Callable[[Talk], tuple[Hostile, MqttSink]], caplog: pytest.LogCaptureFixture
) -> None:
    broker, sink = talking(lambda connection: None)
    eventually(lambda: broker.connections > 3)
    assert sink._client._delay_s == mqtt_client._LONGEST_S
    assert "hung up" in caplog.text


def test_the_wait_doubles_until_a_connection_lasts() -> None:
    now_s = [0.0]
    client = SteadyClient(largest_bytes=1, on_failure=print, clock=lambda: now_s[0])
    waits = []
    for lasts_s in [0.1] * 9 + [59.0, 61.0, 0.1]:
        client.began()
        now_s[0] += lasts_s
        client.broke()
        waits.append(client._delay_s)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 1, 2]


def test_a_fault_of_ours_does_not_end_the_thread(
    talking: Callable[[Talk], tuple[Hostile, MqttSink]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*others: object) -> Any:
        raise ValueError("Invalid topic.")

    monkeypatch.setattr("camera_demo.sinks.mqtt.discovery", broken)
    broker, _ = talking(until_it_hangs_up)
    eventually(lambda: broker.connections > 2)
    assert "the broker sent what cannot be understood (ValueError: Invalid topic.)" in caplog.text


def test_nothing_piles_up_for_a_broker_that_takes_nothing(
    talking: Callable[[Talk], tuple[Hostile, MqttSink]],
    make_result: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_over = threading.Event()

    def until_over() -> None:
        is_over.wait(60)

    _, sink = talking(lambda connection: until_over())
    eventually(lambda: sink._client.is_connected())
    published: list[str] = []
    monkeypatch.setattr(sink._client, "want_write", lambda: True)
    monkeypatch.setattr(sink, "_publish", lambda topic, text, **options: published.append(topic))
    now_s = [100.0]
    monkeypatch.setattr(sink, "_clock", lambda: now_s[0])
    for number in range(100):
        now_s[0] += 1
        sink.show(make_result(number))
    assert 4 <= len(published) <= 7
    is_over.set()
