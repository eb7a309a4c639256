from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.errors import ChannelError
from edge.fleet.state import FollowState, Trust, find_state, parse_time, read_state, state_file, timestamp, write_state

NOW = datetime(2026, 11, 27, 17, 20, tzinfo=timezone.utc)


def state() -> FollowState:
    return FollowState(
        board_id="b1",
        channel="birds",
        serial=3,
        labels={"0" * 16: "2026.11"},
        trust=Trust(configured=("aa",), address="1", sha256="0", created=timestamp(NOW), keys=("AAAA",)),
    ).with_bad("1" * 16, "p95 was worse", NOW)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(state(), tmp_path)
    assert read_state(tmp_path) == state()
    assert find_state([tmp_path / "nothing", tmp_path]) == state()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "has schema 2, expected 1"),
        ({"phase": "asleep"}, "phase is"),
        ({"serial": "3"}, "serial is"),
        ({"bad": [{"version": "x"}]}, "bad"),
    ],
)
def test_a_damaged_state_is_one_clear_error(tmp_path: Path, change: dict[str, object], message: str) -> None:
    state_file(tmp_path).write_text(json.dumps({**state().to_dict(), **change}))
    with pytest.raises(ChannelError, match=message) as error:
        read_state(tmp_path)
    assert "Remove it" in str(error.value)


def test_half_a_state_is_one_clear_error(tmp_path: Path) -> None:
    state_file(tmp_path).write_text(json.dumps(state().to_dict())[:100])
    with pytest.raises(ChannelError, match="damaged or cut short"):
        read_state(tmp_path)


def test_a_phase_begins_once_and_drops_what_was_said_of_the_last_one() -> None:
    first = replace(state(), error="no network").in_phase("downloading", NOW, progress=0.5)
    assert (first.since, first.error, first.progress) == (timestamp(NOW), None, 0.5)
    later = first.in_phase("downloading", NOW + timedelta(hours=1))
    assert (later.since, later.progress) == (timestamp(NOW), None)
    assert later.in_phase("idle", NOW + timedelta(hours=1)).since == timestamp(NOW + timedelta(hours=1))


def test_a_version_is_bad_once_for_its_latest_reason() -> None:
    twice = state().with_bad("1" * 16, "restarts", NOW)
    assert [one.reason for one in twice.bad] == ["restarts"]
    assert twice.bad_versions == {"1" * 16}


def test_times_are_utc() -> None:
    assert timestamp(NOW) == "2026-11-27T17:20:00Z"
    assert parse_time("2026-11-27T17:20:00Z") == parse_time("2026-11-27T18:20:00+01:00") == NOW
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-11-27T17:20:00")
