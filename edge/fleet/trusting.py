"""What a board accepts as its channel: signed by a key it trusts, and nothing older than what it has seen.

The configured key counts at first. Each accepted file names the keys that may sign the next one, so a key can be
replaced without touching a board: the old key signs a file that names both, from then on the new one may sign, and a
file that names the new one alone retires the old one. What was learned like that holds only as long as the
configuration names the keys it began with; where it changes, its keys count again. Serial and time are remembered
unless none of the keys is left, so that no change of the configuration opens a way for older files.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from edge.errors import ChannelError
from edge.fleet.channel import Channel, parse_channel
from edge.fleet.clock import EARLIEST, Reading, check_fresh, read_clocks
from edge.fleet.signed import key_ids, open_envelope
from edge.fleet.state import FollowState, Trust, parse_time, timestamp

__all__ = ["accept"]


def accept(
    content: bytes,
    url: str,
    what: str,
    *,
    configured: tuple[str, ...],
    state: FollowState,
    local: datetime,
    server: datetime | None,
) -> tuple[Channel, Trust, Reading]:
    """The channel in a file, if this board may act on it.

    Args:
        content: The file.
        url: Where it comes from, as configured.
        what: What it is, to begin a message with: "Channel file URL".
        configured: The configured public keys, in base64.
        state: What was accepted before.
        local: This board's clock.
        server: The server's clock; None if it did not say.

    Returns:
        The channel, what to remember of it, and the time.

    Raises:
        SignatureError: It is not signed by a trusted key.
        ChannelError: It is damaged, expired, older than one seen before, or another channel.
    """
    before, ids, address = state.trust, key_ids(configured), hashlib.sha256(url.encode()).hexdigest()
    if before is not None and not set(before.configured) & set(ids):
        before = None  # another root: whatever was learned before is forgotten
    trusted = configured if before is None or before.configured != ids else before.keys
    payload = open_envelope(content, trusted, what)
    channel, digest = parse_channel(payload, what), hashlib.sha256(payload.encode("utf-8", "replace")).hexdigest()
    known = EARLIEST
    if before is not None:
        if before.address == address and channel.name != state.channel:
            raise ChannelError(
                f"{what} is the channel '{channel.name}', and this board follows '{state.channel}': nothing is "
                "installed. Another channel has to have another address."
            )
        if channel.name == state.channel:
            _refuse_replay(channel, digest, state, before, what)
        known = parse_time(before.created)
    reading = read_clocks(local, server, channel.created_at, known)
    check_fresh(channel.created_at, channel.expires_at, reading, what)
    newest = timestamp(max(known, channel.created_at))
    trust = Trust(configured=ids, address=address, sha256=digest, created=newest, keys=channel.keys)
    return channel, trust, reading


def _refuse_replay(channel: Channel, digest: str, state: FollowState, before: Trust, what: str) -> None:
    if channel.serial < state.serial:
        raise ChannelError(
            f"{what} has the serial {channel.serial}, and this board has seen {state.serial}: an older file, from a "
            "cache or from somebody who replays it. Nothing is installed."
        )
    if channel.serial == state.serial and digest != before.sha256:
        raise ChannelError(
            f"{what} differs from another one with the serial {channel.serial}: two people published at once. Publish "
            "again."
        )
