"""Which private keys the commands of ``edge channel`` sign with."""

from __future__ import annotations

from pathlib import Path

from edge.errors import ChannelError

__all__ = ["private_keys"]


def private_keys(given: list[Path] | None, folder: Path) -> list[Path]:
    """The private keys: those given, or the one where ``init`` puts it.

    Raises:
        ChannelError: No key is given, and ``folder`` has no channel, or this user has none of its keys.
    """
    if given:
        return given
    from edge.fleet.channel import CHANNEL_FILE, absent_channel
    from edge.fleet.keys import default_key
    from edge.json_files import parse_json, read_json

    path = folder / CHANNEL_FILE
    if not path.is_file():
        raise absent_channel(folder)
    payload = read_json(path, "channel file", ChannelError).get("payload")  # its name is all that is taken from it
    name = parse_json(str(payload).encode("utf-8", "replace"), f"Channel file {path}", ChannelError).get("name")
    place = default_key(str(name))
    if not place.is_file():
        raise ChannelError(f"There is no private key {place}: give it with --key.")
    return [place]
