"""What the doctor says of a board that follows a channel."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from edge.doctor import state as checks
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding
from edge.errors import ChannelError
from edge.fleet.state import FollowState
from edge.fleet.timestamps import timestamp

NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)


def found(monkeypatch: pytest.MonkeyPatch, state: FollowState | None) -> list[Finding]:
    monkeypatch.setattr(checks, "find_state", lambda: state)
    return list(checks.channel(Surroundings(now_s=NOW.timestamp())))


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({}, "ok", "birds, serial 7, ring all: idle"),
        ({"phase": "held", "error": "the channel is paused: heat"}, "ok", "held, the channel is paused: heat"),
        ({"phase": "failed", "error": "Cannot fetch it."}, "warning", "ring all: Cannot fetch it."),
        ({"phase": "rolled_back", "error": "late"}, "warning", "version 0000000000000001 was rolled back: late"),
        ({"checked": timestamp(NOW - timedelta(days=3))}, "warning", "no step was taken for 3 days."),
        ({"checked": ""}, "ok", "idle"),
    ],
)
def test_what_the_last_step_came_to(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], status: str, detail: str
) -> None:
    values: dict[str, Any] = {"channel": "birds", "serial": 7, "ring": "all", "checked": timestamp(NOW)}
    state = FollowState(board_id="attic", **values | changes).with_bad(f"{1:016x}", "late", NOW)
    [finding] = found(monkeypatch, state)
    assert finding.status == status
    assert detail in finding.detail
    assert bool(finding.fix) == (status == "warning")


def test_who_follows_nothing_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, None) == []


def test_a_damaged_state_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> FollowState | None:
        raise ChannelError("State of following x is damaged.")

    monkeypatch.setattr(checks, "find_state", damaged)
    [finding] = checks.channel(Surroundings(now_s=NOW.timestamp()))
    assert (finding.status, finding.detail) == ("warning", "State of following x is damaged.")
