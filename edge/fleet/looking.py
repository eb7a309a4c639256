"""A channel as anybody may see it: its file on the host, or in the folder that the host serves."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edge.addresses import split_address
from edge.errors import ChannelError, os_reason
from edge.fleet.channel import CHANNEL_FILE, Channel, parse_channel
from edge.fleet.config import KEY_FILE
from edge.fleet.keys import default_key
from edge.fleet.signed import open_envelope, read_envelope, read_keys
from edge.updates.download import default_context, read_small, shown
from edge.updates.signature import configured_file

__all__ = ["Looked", "look_at", "own_key"]

_MOST_BYTES: Final = 1_000_000
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen."""

    channel: Channel
    certificate_expires: datetime | None = None
    """When the certificate of the host expires; None where there is none, or it cannot be seen."""
    is_checked: bool = False
    """Whether its signature is one of a trusted key's."""


def own_key(name: str) -> Path | None:
    """The file of public keys that this user checks a channel with: what ``init`` made, else what a board has.

    Args:
        name: The channel's.

    Returns:
        ``channel-NAME.pub`` in this user's configuration, else ``channel.pub``; None if neither is there.
    """
    with contextlib.suppress(ChannelError):  # no name of a channel
        if (made := default_key(name).with_suffix(".pub")).is_file():
            return made
    return configured_file(KEY_FILE)


def look_at(
    place: str,
    key: Path | None = None,
    *,
    find_key: Callable[[str], Path | None] = lambda name: None,
    context: ssl.SSLContext | None = None,
) -> Looked:
    """Read a channel without acting on it: expired ones too.

    Args:
        place: ``https://...``, or the channel's folder.
        key: A file of public keys, one of which must have signed it.
        find_key: Finds that file by the channel's name, where ``key`` is None; None to take the channel as it is.
        context: Whose certificates to trust; None for the system's.

    Raises:
        DownloadError: It cannot be fetched.
        ChannelError: There is none, or it is damaged.
        SignatureError: None of the keys signed it.
    """
    is_url = "://" in place
    what = f"Channel file {shown(place) if is_url else Path(place) / CHANNEL_FILE}"
    content = read_small(place, max_bytes=_MOST_BYTES, context=context).content if is_url else _file(Path(place))
    if key is None:
        channel = parse_channel(read_envelope(content, what)[0], what)
        key = find_key(channel.name)
    if key is not None:
        channel = parse_channel(open_envelope(content, read_keys(key), what), what)
    return Looked(
        channel=channel,
        certificate_expires=_certificate(place, context) if is_url else None,
        is_checked=key is not None,
    )


def _file(folder: Path) -> bytes:
    try:
        with (folder / CHANNEL_FILE).open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as reason:
        raise ChannelError(f"Cannot read the channel in {folder}: {os_reason(reason)}.") from reason


def _certificate(url: str, context: ssl.SSLContext | None) -> datetime | None:
    """When the certificate of a host expires. The file has been fetched: what fails now is a matter of proxies."""
    parts = split_address(url)
    if parts.scheme != "https":
        return None
    context = context or default_context()
    with contextlib.suppress(OSError, ValueError, KeyError):
        with (
            socket.create_connection((parts.host, parts.port or 443), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=parts.host) as secured,
        ):
            seconds = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
        return datetime.fromtimestamp(seconds, timezone.utc)
    return None
