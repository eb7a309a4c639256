"""Telling a real broker and hearing from it: mosquitto, where it is installed."""

from __future__ import annotations

import errno
import getpass
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from edge.cli.follow import _reports
from edge.errors import ChannelError
from edge.fleet.broker import BrokerAddress, Publisher, broker_address, collect
from edge.fleet.reporting import MOST_BYTES, install_topic, read_report, state_topic, to_message
from edge.fleet.state import FollowState
from tests.mosquitto import Listener, RealBroker, free_port, needs_mosquitto
from tests.waiting import eventually

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
STATE = FollowState(board_id="attic", channel="birds")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealBroker]:
    broker = RealBroker(tmp_path, free_port())
    yield broker
    broker.stop()


def at(port: int, user: str = "") -> BrokerAddress:
    return broker_address(f"mqtt://{user}127.0.0.1:{port}", {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://h", BrokerAddress(host="h", port=1883, name="mqtt://h")),
        ("mqtts://me@h:1", BrokerAddress(host="h", port=1, user="me", is_encrypted=True, password="pw", name="mqtts://***@h:1")),
        ("mqtt://me:secret@h/x", BrokerAddress(host="h", port=1883, user="me", password="secret", name="mqtt://***@h/***")),
    ],
)  # fmt: skip
def test_an_address_is_understood(text: str, shown: BrokerAddress) -> None:
    found = broker_address(text, {"MQTT_PASSWORD": "pw"})
    assert found == replace(shown, password=found.password if found.user is None else shown.password)


@pytest.mark.parametrize("text", ["h", "http://h", "mqtt://", "mqtt://me:secret@h:99999", "mqtt://me:sec/ret@h"])
def test_another_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ChannelError, match="is not a broker's address: expected mqtt://") as refused:
        broker_address(text, {})
    assert "sec" not in str(refused.value)


@needs_mosquitto
def test_the_newest_state_is_what_the_broker_keeps(real: RealBroker) -> None:
    real.start()
    with Publisher(at(real.port)) as publisher:
        for number in range(50):
            state = replace(STATE, serial=number)
            publisher.publish(state_topic("attic"), to_message(state, NOW))
    found = collect(at(real.port), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.3)
    assert {topic: json.loads(text)["serial"] for topic, text in found.items()} == {state_topic("attic"): 49}


@needs_mosquitto
def test_what_is_given_before_the_broker_is_there_comes_when_it_is(real: RealBroker) -> None:
    with Publisher(at(real.port)) as publisher:
        publisher.publish(state_topic("attic"), "old")
        publisher.publish(state_topic("attic"), "new")
        real.start()
        with Listener(real.port) as listener:
            eventually(lambda: listener.of(state_topic("attic")) == ["new"], 30)


def test_a_broker_that_is_away_is_said_once_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.fleet.broker._FAREWELL_S", 0.5)
    said: list[str] = []
    with Publisher(at(free_port(), "me:secret@"), said.append) as publisher:
        for _ in range(100):
            publisher.publish(state_topic("attic"), "x")
    assert len(said) == 1 and "does not take this board's state: connection refused." in said[0]
    assert "secret" not in said[0]


@needs_mosquitto
def test_a_thousand_boards_are_all_heard(real: RealBroker) -> None:
    real.start()
    with Listener(real.port) as listener:
        for number in range(1000):
            listener._client.publish(state_topic(f"b{number}"), f"{number}", qos=1, retain=True)
        eventually(lambda: len(listener.heard) >= 1000, 60)
        listener._client.publish(state_topic("b0"), b"", qos=1, retain=True)
        eventually(lambda: len(listener.heard) >= 1001, 60)
    found = collect(at(real.port), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.5)
    assert len(found) == 999 and found[state_topic("b7")] == b"7"


@needs_mosquitto
def test_a_wrong_password_is_said(real: RealBroker) -> None:
    real.start("allow_anonymous false")
    with pytest.raises(ChannelError, match="refuses the connection: ") as refused:
        collect(at(real.port, "me:secret@"), state_topic("+"), most_bytes=100)
    assert "secret" not in str(refused.value)


def test_a_broker_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(ChannelError, match=r"mqtt://127.0.0.1:\d+ cannot be reached: connection refused\.$"):
        collect(at(free_port()), state_topic("+"), most_bytes=100, timeout_s=3600)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), r"cannot be reached: there is no host of this name\.$"),
        (ssl.SSLCertVerificationError(1, "[SSL] certificate verify failed"), r"reached: certificate verify failed\.$"),
        (OSError(errno.EHOSTUNREACH, "x"), r"cannot be reached: no route to host\.$"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), r"reached within 0.2 s: temporary failure\.$"),
        (TimeoutError("timed out"), r"cannot be reached within 0.2 s: timed out\.$"),
    ],
)
def test_why_a_broker_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch, failure: OSError, words: str) -> None:
    def fail(client: Client) -> None:
        raise failure

    monkeypatch.setattr(Client, "reconnect", fail)
    timeout_s = 0.2 if "within" in words else 3600
    with pytest.raises(ChannelError, match=words):
        collect(at(1), state_topic("+"), most_bytes=100, timeout_s=timeout_s)


def test_a_server_that_hangs_up_is_left_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        hangs_up = threading.Thread(target=lambda: server.accept()[0].close())
        hangs_up.start()
        with pytest.raises(ChannelError, match=r"ends the connection without an answer: expected MQTT there"):
            collect(at(server.getsockname()[1]), state_topic("+"), most_bytes=100, timeout_s=3600)
        hangs_up.join()


@needs_mosquitto
def test_a_message_of_megabytes_ends_the_listening(real: RealBroker) -> None:
    real.start()
    with Listener(real.port) as listener:
        listener._client.publish(state_topic("a"), b"x" * 2_000_000, qos=1, retain=True)
        eventually(lambda: len(listener.heard) >= 1, 60)
    with pytest.raises(ChannelError, match="announces a message of 20000"):
        collect(at(real.port), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.5)


def test_a_server_that_says_nothing_is_left() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ChannelError, match=r"cannot be reached within 0.3 s: it does not answer\.$"),
    ):
        collect(at(silent.getsockname()[1]), state_topic("+"), most_bytes=100, timeout_s=0.3)


@needs_mosquitto
def test_the_command_tells_each_state_where_a_broker_is_configured(real: RealBroker) -> None:
    real.start()
    with _reports(f"mqtt://127.0.0.1:{real.port}") as tell:
        tell(replace(STATE, phase="downloading"))
        tell(replace(STATE, phase="watching"))
    found = collect(at(real.port), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.3)
    assert read_report(state_topic("attic"), found[state_topic("attic")]).state.phase == "watching"


@pytest.mark.parametrize("address", [None, "mqtt://", "http://h"])
def test_an_address_that_is_wrong_keeps_no_board_from_its_updates(
    address: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with _reports(address) as tell:
        tell(STATE)
    assert capsys.readouterr().err.count("is not a broker's address") == (address is not None)


@needs_mosquitto
def test_the_rights_that_the_document_gives_let_nobody_speak_for_another_board(real: RealBroker) -> None:
    text = (Path(__file__).parents[3] / "docs/fleet-monitoring.md").read_text(encoding="utf-8")
    (rights,) = [block for block in text.split("```") if "pattern readwrite" in block]
    (real.folder / "acl").write_text(rights)
    user = getpass.getuser()  # or mosquitto takes another one's rights, and cannot read the file
    real.start("allow_anonymous true", f"acl_file {real.folder / 'acl'}", f"user {user}")
    message = to_message(STATE, NOW)
    for user, board in (("attic", "attic"), ("attic", "cellar"), ("operator", "barn"), ("homeassistant", "shed")):
        with Publisher(at(real.port, f"{user}@")) as publisher:
            publisher.publish(state_topic(board), message)
    found = collect(at(real.port, "operator@"), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.3)
    assert set(found) == {state_topic("attic")}
    for user, may_read in (("homeassistant", True), ("cellar", False)):
        found = collect(at(real.port, f"{user}@"), state_topic("+"), most_bytes=MOST_BYTES, quiet_s=0.3)
        assert bool(found) == may_read, user
    with Publisher(at(real.port, "homeassistant@")) as publisher:
        publisher.publish(install_topic("attic"), "install")
    with Publisher(at(real.port, "cellar@")) as publisher:
        publisher.publish(install_topic("attic"), "junk")
    found = collect(at(real.port, "attic@"), install_topic("attic"), most_bytes=MOST_BYTES, quiet_s=0.3)
    assert found == {install_topic("attic"): b"install"}
    with Publisher(at(real.port, "attic@")) as publisher:
        publisher.publish("homeassistant/update/attic/config", "{}")
    assert collect(at(real.port, "homeassistant@"), "homeassistant/#", most_bytes=100, quiet_s=0.3)
