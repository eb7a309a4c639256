"""``/etc/mobilenet-edge/channel.toml``: which channel this machine follows, and who it is there.

It is a file beside ``config.toml``, which is camera-demo's: each program has its own, so that neither has to know the
other's settings, and a change here restarts no camera.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from edge.addresses import redacted
from edge.errors import ChannelError
from edge.fleet.rings import Board, this_board
from edge.toml_file import read_toml
from edge.typed_json import from_json
from edge.updates.signature import configured_file

__all__ = ["CONFIG_FILE", "KEY_FILE", "ChannelConfig", "configured_channel"]

CONFIG_FILE: Final = "channel.toml"
KEY_FILE: Final = "channel.pub"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """The settings in the file. Options of ``edge channel follow`` replace them."""

    url: str | None = None
    """Where the channel's file is."""
    key: str | None = None
    """The file of public keys, one of which must have signed it; ``channel.pub`` beside this file without one."""
    board: str | None = None
    """What this board is called in the fleet; without one, an id made of its serial number."""
    group: str | None = None
    """The group of boards that it belongs to."""
    broker: str | None = None
    """``mqtt://USER@HOST``: where the state is published; the password is ``MQTT_PASSWORD`` of ``secrets``."""

    def this_board(self) -> Board:
        """Who this machine is.

        Raises:
            ChannelError: Its name or group is not a word, or it has no id.
        """
        try:
            return this_board(self.board, self.group)
        except ValueError as reason:
            raise ChannelError(f"Invalid name of this board: {reason}.") from reason


def configured_channel(path: Path | None = None, system: Path = Path("/etc")) -> ChannelConfig:
    """The settings of this machine; nothing set where there is no file.

    Args:
        path: The file; None for ``/etc/mobilenet-edge/channel.toml``, else the user's own.
        system: The folder that stands in for ``/etc``.

    Raises:
        ChannelError: It cannot be read, or holds something else.
    """
    place = path or configured_file(CONFIG_FILE, system)
    if place is None:
        return ChannelConfig()
    values = read_toml(place, ChannelError)
    known = [one.name for one in fields(ChannelConfig)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(known)}."
            raise ChannelError(f"Configuration {place}: unknown key '{redacted(name)}': {hint}")
    try:
        return from_json(ChannelConfig, values)
    except (TypeError, ValueError) as reason:
        shown = "text in quotes" if "expected text" in str(reason) else str(reason)
        name = str(reason).split(" is ", 1)[0]
        raise ChannelError(f"Configuration {place}: invalid {name}: expected {shown}.") from reason
