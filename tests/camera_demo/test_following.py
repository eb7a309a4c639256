"""What the follower notes of itself is read when it changes, and only then."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from camera_demo.following import FollowWatcher
from edge.fleet.state import FollowState, state_file, write_state

STATE = FollowState(board_id="attic", channel="birds", installed="a" * 16, latest="b" * 16)


def test_it_is_told_at_once_and_at_each_change(tmp_path: Path) -> None:
    told: queue.Queue[FollowState | None] = queue.Queue()
    write_state(STATE, tmp_path)
    with FollowWatcher(told.put, folders=(tmp_path / "user's", tmp_path), every_s=0.01):
        assert told.get(timeout=30) == STATE
        write_state(FollowState(board_id="attic", phase="testing"), tmp_path)
        seen = told.get(timeout=30)
        assert seen is not None and seen.phase == "testing"
        state_file(tmp_path).unlink()
        assert told.get(timeout=30) is None
    assert told.empty()


def test_a_board_that_follows_nothing_is_told_nothing(tmp_path: Path) -> None:
    told: list[object] = []
    with FollowWatcher(told.append, folders=(tmp_path,), every_s=0.01):
        pass
    assert told == []


def test_a_state_that_cannot_be_read_is_said_once_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: queue.Queue[FollowState | None] = queue.Queue()
    state_file(tmp_path).write_text("{")
    with FollowWatcher(told.put, folders=(tmp_path,), every_s=0.01) as watcher:
        assert told.get(timeout=30) is None
        watcher._look()
        write_state(STATE, tmp_path)
        assert told.get(timeout=30) == STATE
    assert len(caplog.messages) == 1 and "is not JSON" in caplog.messages[0]
