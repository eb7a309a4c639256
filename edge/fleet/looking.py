"""A channel as anybody may see it: its file on the host, or in the folder that the host serves."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edge.addresses import split_address
from edge.errors import ChannelError, os_reason
from edge.files import parse_json
from edge.fleet.channel import CHANNEL_FILE, Channel, parse_channel
from edge.fleet.signed import open_envelope, read_keys
from edge.updates.download import read_small, shown

__all__ = ["Looked", "look_at"]

_MOST_BYTES: Final = 1_000_000
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen."""

    channel: Channel
    certificate_expires: datetime | None = None
    """When the certificate of the host expires; None where there is none, or it cannot be seen."""


def look_at(place: str, key: Path | None = None, *, context: ssl.SSLContext | None = None) -> Looked:
    """Read a channel without acting on it: expired ones too.

    Args:
        place: ``https://...``, or the channel's folder.
        key: A file of public keys, one of which must have signed it; None to take it as it is.
        context: Whose certificates to trust; None for the system's.

    Raises:
        DownloadError: It cannot be fetched.
        ChannelError: There is none, or it is damaged.
        SignatureError: None of the keys signed it.
    """
    is_url = "://" in place
    what = f"Channel file {shown(place) if is_url else Path(place) / CHANNEL_FILE}"
    content = read_small(place, max_bytes=_MOST_BYTES, context=context).content if is_url else _file(Path(place))
    if key is not None:
        payload = open_envelope(content, read_keys(key), what)
    else:
        found = parse_json(content, what, ChannelError).get("payload")
        if not isinstance(found, str):
            raise ChannelError(f"{what} is another file: expected the keys payload and signatures.")
        payload = found
    return Looked(
        channel=parse_channel(payload, what), certificate_expires=_certificate(place, context) if is_url else None
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
    context = context or ssl.create_default_context()
    with contextlib.suppress(OSError, ValueError, KeyError):
        with (
            socket.create_connection((parts.host, parts.port or 443), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=parts.host) as secured,
        ):
            seconds = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
        return datetime.fromtimestamp(seconds, timezone.utc)
    return None
