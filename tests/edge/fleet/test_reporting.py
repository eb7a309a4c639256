"""What a board tells: its form, what it keeps to itself, and what others may send in its name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ChannelError
from edge.fleet.health import Gate
from edge.fleet.reporting import MOST_BYTES, board_of, read_report, state_topic, to_message, update_entity
from edge.fleet.state import BadVersion, FollowState, Trust

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)
OLD, NEW = "a" * 16, "b" * 16
STATE = FollowState(
    board_id="attic",
    host="pi",
    group="door",
    channel="birds",
    serial=3,
    bundle="birds",
    installed=OLD,
    latest=NEW,
    labels={NEW: "2026.11"},
    phase="downloading",
    progress=0.416,
    since="2026-11-27T17:00:00Z",
    checked="2026-11-27T17:10:00Z",
    ring="first",
    gate=Gate(),
    trust=Trust(
        configured=("aa",),
        address="secret",
        sha256="0" * 64,
        created="2026-11-27T17:00:00Z",
        keys=("AAAA",),
    ),
)
TOPIC = state_topic("attic")


def message(**changes: Any) -> bytes:
    return json.dumps(json.loads(to_message(STATE, NOW)) | changes).encode()


def test_what_is_told_is_read_again_without_what_is_the_boards_own_business() -> None:
    report = read_report(TOPIC, message())
    assert report.state == replace(STATE, gate=None, trust=None)
    assert (report.reported, report.reported_at) == ("2026-11-27T17:20:00Z", NOW)
    assert "AAAA" not in message().decode() and "secret" not in message().decode()
    assert json.loads(message())["schema_version"] == 1


def test_keys_of_a_later_version_are_passed_over() -> None:
    bad = {"version": NEW, "reason": "late", "at": "2026-11-27T17:00:00Z", "was_in_use": True, "severity": 9}
    report = read_report(TOPIC, message(weather="fine", bad=[bad]))
    assert report.state.bad[0].reason == "late"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"[]", "holds a JSON list"),
        (b"{" * 5000, "is not JSON|nested"),
        (b"\xff\xfe", "is not JSON"),
        (b" " * (MOST_BYTES + 1), "64001 bytes"),
        (message(schema_version=2), "has schema 2, expected 1: update mobilenet-edge here"),
        (message(board_id="cellar"), "names board 'cellar'"),
        (message(reported="yesterday"), "cannot be understood"),
        (message(reported=None), "cannot be understood"),
        (message(phase="dancing"), "phase is \"dancing\": expected one of idle"),
        (message(bad=[{"version": 3}]), "cannot be understood"),
        (b'{"schema_version": 1, "reported": "2026-11-27T17:00:00Z"}', "lacks the key 'board_id'"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(ChannelError, match=words) as refused:
        read_report(TOPIC, content)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_no_bytes_bring_anything_else_about(content: bytes) -> None:
    with pytest.raises(ChannelError):
        read_report(TOPIC, content)


@pytest.mark.parametrize(
    "topic", ["mobilenet-edge/fleet/a/b/state", "mobilenet-edge/fleet/a", "x", state_topic("a") + "/"]
)
def test_another_topic_is_no_boards(topic: str) -> None:
    with pytest.raises(ValueError, match="not a board's topic"):
        board_of(topic)


def test_a_message_stays_short_whatever_went_wrong() -> None:
    bad = tuple(BadVersion(version=f"{n:016x}", reason="\x1b[31m " + "x" * 5000, at="") for n in range(100))
    text = to_message(replace(STATE, bad=bad, error="y" * 10_000), NOW)
    assert len(text.encode()) < MOST_BYTES / 4
    assert "\x1b" not in text
    assert json.loads(text)["bad"][-1]["version"] == f"{99:016x}"


def is_taken_by_home_assistant(update: dict[str, Any]) -> bool:
    """By its ``MQTT_JSON_UPDATE_SCHEMA`` (2024.12 to 2026.2), which refuses any other key, and null for text."""
    texts = ("installed_version", "latest_version", "title", "release_summary", "release_url")
    known = {*texts, "entity_picture", "in_progress", "update_percentage"}
    percent = update.get("update_percentage")
    return (
        set(update) <= known
        and all(isinstance(update[key], str) for key in texts if key in update)
        and (not update.get("release_url") or urlsplit(update["release_url"]).scheme in ("http", "https"))
        and isinstance(update["in_progress"], bool)
        and (percent is None or 0 <= percent <= 100)
    )


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, {"installed_version": f"sha-{OLD}", "latest_version": "2026.11", "update_percentage": 42}),
        ({"phase": "testing"}, {"in_progress": True}),
        ({"installed": NEW, "phase": "watching"}, {"installed_version": "2026.11", "in_progress": False}),
        ({"installed": None, "latest": None}, {"installed_version": "none", "latest_version": "none"}),
        ({"installed": None}, {"installed_version": "none", "latest_version": "2026.11"}),
        ({"bundle": "demo", "installed": None, "latest": None}, {"installed_version": "shipped"}),
        ({"bundle": None, "installed": None, "latest": None, "progress": None}, {"title": "no bundle yet"}),
        ({"phase": "held", "error": "paused:\n" + "x" * 900}, {"in_progress": False}),
        (
            {"bad": (BadVersion(version=NEW, reason="late", at=""),), "phase": "rolled_back", "progress": None},
            {"latest_version": f"sha-{OLD}"},
        ),
    ],
)  # fmt: skip
def test_home_assistant_takes_what_is_meant_for_its_update_entity(changes: Any, shown: dict[str, Any]) -> None:
    update = update_entity(replace(STATE, **changes))
    assert is_taken_by_home_assistant(update)
    assert shown.items() <= update.items()
    assert len(update.get("release_summary", "")) <= 255
    assert json.loads(to_message(replace(STATE, **changes), NOW))["update"] == update


def test_a_version_without_a_name_is_no_number_to_home_assistant() -> None:
    """It compares versions that look like numbers, and then offers only greater ones."""
    update = update_entity(replace(STATE, installed="9" * 16, latest="1" * 16, labels=None))
    assert not re.match(r"v?\d", update["latest_version"]) and not re.match(r"v?\d", update["installed_version"])
