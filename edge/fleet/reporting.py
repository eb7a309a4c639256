"""What a board tells of itself over MQTT: one retained message, which any program may read, with a version of its form.

The message is the board's :class:`~edge.fleet.state.FollowState` without whom it trusts, when it was sent, and below
``update`` what Home Assistant's update entity takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from edge.errors import ChannelError
from edge.fleet.state import FollowState, parse_time, timestamp
from edge.json_files import parse_json
from edge.text import json_text, one_line, shortened
from edge.typed_json import from_json

__all__ = [
    "INSTALL",
    "MOST_BYTES",
    "Report",
    "board_of",
    "health_topic",
    "install_topic",
    "read_report",
    "state_topic",
    "to_message",
    "update_entity",
]

INSTALL: Final = "install"
"""What is sent to :func:`install_topic` to let the board take its next step at once."""
MOST_BYTES: Final = 64_000
"""The longest message that is read; those that are written are shorter."""
_SCHEMA_VERSION: Final = 1
_BASE: Final = "mobilenet-edge/fleet"
_OWN_BUSINESS: Final = ("gate", "passed_over", "trust", "schema_version")
_MOST_BAD: Final = 20
_LONGEST_REASON: Final = 300
_LONGEST_SUMMARY: Final = 255
"""Home Assistant's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a board told last."""

    state: FollowState
    reported: str
    """When, UTC by the board's clock."""
    software: str = ""
    """The version of this package there."""

    @property
    def reported_at(self) -> datetime:
        """When."""
        return parse_time(self.reported)


def state_topic(board_id: str) -> str:
    """The topic of a board's message; for ``+`` that of all boards."""
    return f"{_BASE}/{board_id}/state"


def health_topic(board_id: str, camera: str) -> str:
    """The topic of a camera's last minute, as its board's health record has it (:mod:`edge.fleet.health_minute`)."""
    return f"{_BASE}/{board_id}/health/{camera}"


def install_topic(board_id: str) -> str:
    """The topic at which a board takes :data:`INSTALL`."""
    return f"{_BASE}/{board_id}/install"


def board_of(topic: str) -> str:
    """The board of a :func:`state_topic`.

    Raises:
        ValueError: It is another topic.
    """
    board_id = topic.removeprefix(f"{_BASE}/").removesuffix("/state")
    if topic != state_topic(board_id) or "/" in board_id:
        raise ValueError(f"{topic[:100]!r} is not a board's topic")
    return board_id


def to_message(state: FollowState, now: datetime) -> str:
    """The message of a board that is in ``state`` now."""
    import edge  # its face, for the version

    bad = tuple(replace(one, reason=_short(one.reason)) for one in state.bad[-_MOST_BAD:])
    values = replace(state, bad=bad, error=state.error and _short(state.error)).to_dict()
    return json_text(
        {
            "schema_version": _SCHEMA_VERSION,
            "reported": timestamp(now),
            "software": edge.__version__,
            **{name: value for name, value in values.items() if name not in _OWN_BUSINESS},
            "update": update_entity(state),
        }
    )


def update_entity(state: FollowState) -> dict[str, Any]:
    """What Home Assistant's update entity takes, which refuses a message with any other key, or null in its place.

    Keys that are left out keep their last value there. A version that did badly here is none to offer: the latest is
    then the one in use.
    """
    installed = state.in_use if state.installed is None else _shown(state, state.installed)
    return {
        "installed_version": installed,
        "latest_version": _shown(state, state.latest) if state.is_pending and state.latest else installed,
        "title": state.bundle or "no bundle yet",
        "in_progress": state.phase in ("downloading", "testing"),
        "update_percentage": None if state.progress is None else round(100 * state.progress),
        "release_summary": shortened(one_line(state.error or ""), _LONGEST_SUMMARY),
    }


def read_report(topic: str, content: bytes) -> Report:
    """What a board told; a later version of this package may have added keys, which are passed over.

    Raises:
        ChannelError: It is of another schema, damaged, or another board's.
    """
    what = f"The message at {shortened(topic)}"
    if len(content) > MOST_BYTES:
        raise ChannelError(f"{what} has {len(content)} bytes: expected at most {MOST_BYTES}.")
    values = parse_json(content, what, ChannelError)
    if (found := values.pop("schema_version", None)) != _SCHEMA_VERSION:
        raise ChannelError(f"{what} has schema {found!r}, expected {_SCHEMA_VERSION}: update mobilenet-edge here.")
    try:
        reported, software = str(values.pop("reported", "")), str(values.pop("software", ""))
        report = Report(
            state=from_json(FollowState, values, is_open=True),
            reported=timestamp(parse_time(reported)),
            software=shortened(software),
        )
        if report.state.board_id != board_of(topic):
            raise ValueError(f"it names board {report.state.board_id[:80]!r}")
    except KeyError as reason:
        raise ChannelError(f"{what} lacks the key {reason}.") from reason
    except (TypeError, ValueError, OverflowError) as reason:
        raise ChannelError(f"{what} cannot be understood: {shortened(str(reason))}.") from reason
    return report


def _shown(state: FollowState, version: str) -> str:
    """A version as people call it. Without a name it gets letters, or Home Assistant could take it for a number."""
    return (state.labels or {}).get(version) or f"sha-{version}"


def _short(text: str) -> str:
    return shortened(one_line(text), _LONGEST_REASON)
