"""From one state of a board to the next, where no file is read and nothing installed."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from edge.errors import EdgeError
from edge.fleet.channel import Channel
from edge.fleet.choosing import Choice
from edge.fleet.rings import Board
from edge.fleet.state import FollowState
from edge.text import one_line

__all__ = ["failed", "labels_of", "repaired", "resting"]

_WENT_BACK: Final = "rolled back by hand, or by a step that was interrupted"


def repaired(state: FollowState, board: Board, in_use: tuple[str | None, str | None], now: datetime) -> FollowState:
    """The state as the version in use has it, whatever became of the last step.

    A switch that the last step had made is watched from now on. A version that was in use and is now the one before did
    badly here: somebody went back, or the last step did and was killed. Any other version was put to use by hand,
    and stays until there is a newer one than it was preferred to.

    Args:
        state: What the last step wrote.
        board: Who this board is.
        in_use: The version in use, and the one before.
        now: This board's clock.
    """
    (active, previous), was, before = in_use, state.installed, state.previous
    state = replace(
        state,
        board_id=board.id,
        host=socket.gethostname(),
        group=board.group,
        installed=active,
        previous=previous,
    )
    if active == was:
        return state
    if state.phase == "testing" and active is not None and active == state.target:
        return state.in_phase("watching" if state.gate else "idle", now, gate=state.gate, passed_over=None)
    if was is not None and (active, previous) == (before, was):
        return state.with_bad(was, _WENT_BACK, now).in_phase("rolled_back", now, error=_WENT_BACK)
    passed_over = state.latest if active is not None and active != state.latest else None
    return replace(state, passed_over=passed_over).in_phase("idle", now)


def resting(state: FollowState, choice: Choice, remark: str | None, now: datetime) -> FollowState:
    """The state of a board that installs nothing now.

    Args:
        state: So far.
        choice: Why not.
        remark: What else there is to say: that its clock is wrong, for example.
        now: This board's clock.
    """
    if choice.waits_for is None:
        return state.in_phase("idle", now, error=remark)
    latest = choice.latest.version if choice.latest else None
    bad = next((one for one in state.bad if one.version == latest), None)
    if bad is not None:
        return state.in_phase("rolled_back" if bad.was_in_use else "failed", now, error=bad.reason)
    return state.in_phase("held", now, error="; ".join(filter(None, (choice.waits_for, remark))))


def failed(state: FollowState, error: EdgeError, now: datetime) -> FollowState:
    """The state after a step that ended with an error; what is watched goes on being watched."""
    message = one_line(str(error))
    if state.phase == "watching":
        return replace(state, error=message)
    return state.in_phase("failed", now, error=message)


def labels_of(channel: Channel, state: FollowState, latest: str | None) -> Mapping[str, str] | None:
    """What people call the versions that a state names."""
    known = dict(state.labels or {})
    known |= {one.version: one.label for one in channel.releases if one.label}
    named = {one: known[one] for one in (state.installed, state.previous, latest) if one in known}
    return named or None
