"""The file of a channel: which versions of a bundle there are, for which boards, and what they must hold there.

``docs/channel.md`` describes it. A newer schema is refused; keys that this version does not know are passed over by
boards, because later versions may add some, and keep the operator's commands from writing the file.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from edge.bundles.registry import is_name
from edge.errors import ChannelError
from edge.fleet.health import Gate
from edge.fleet.rings import Ring, check_rings
from edge.fleet.signed import key_id
from edge.fleet.state import parse_time
from edge.json_files import parse_json, to_json
from edge.text import shortened
from edge.typed_json import OPEN, from_json

__all__ = [
    "CHANNEL_FILE",
    "SCHEMA_VERSION",
    "Channel",
    "Release",
    "Runtime",
    "absent_channel",
    "parse_channel",
    "to_payload",
]

CHANNEL_FILE: Final = "channel.json"
SCHEMA_VERSION: Final = 1
_MOST_RELEASES: Final = 200
_MOST_KEYS: Final = 10
_VERSION: Final = re.compile(r"[0-9a-f]{16}")
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+){0,3}")
_MOST_BYTES: Final = 4_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a release needs on a board."""

    minimum: str | None = None
    """The oldest mobilenet-edge: ``0.2.0``."""
    backends: tuple[str, ...] = ()
    """One of these has to be there; empty for any."""

    def __post_init__(self) -> None:
        if self.minimum is not None and not _NUMBERS.fullmatch(self.minimum):
            raise ValueError(f"runtime.minimum is {self.minimum[:40]!r}: expected a version as 0.2.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of the bundle, and who it is for."""

    version: str
    """As :class:`edge.bundles.registry.Installed` has it: the first 16 digits of the manifest's SHA-256."""
    bundle_name: str
    url: str
    """Of the ``.zip`` file; may be relative to the channel's own address."""
    sha256: str
    """Of the ``.zip`` file."""
    size_bytes: int
    """Of the ``.zip`` file."""
    installed_bytes: int
    """What the unpacked files take."""
    published: str
    """When, UTC."""
    label: str | None = None
    """What people call this version: ``2026.11``."""
    parent: str | None = None
    """The version that it was published after."""
    not_before: str | None = None
    """The earliest time to install it, UTC."""
    withdrawn: str | None = None
    """Why nobody is to install it any more, and whoever has it is to go back; None for a version that counts."""
    runtime: Runtime = field(default=Runtime(), metadata=OPEN)
    gate: Gate = field(default=Gate(), metadata=OPEN)
    rings: tuple[Ring, ...] = field(metadata=OPEN)
    open_rings: int
    """How many of the rings, from the first, install it."""

    def __post_init__(self) -> None:
        for name, version in (("version", self.version), ("parent", self.parent)):
            if version is not None and not _VERSION.fullmatch(version):
                raise ValueError(f"{name} is {version[:40]!r}: expected 16 hexadecimal digits")
        if not is_name(self.bundle_name):
            raise ValueError(f"bundle_name is {self.bundle_name[:40]!r}: expected letters, digits, '.', '_', '-'")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 is {self.sha256[:80]!r}: expected 64 hexadecimal digits")
        for name, count in (("size_bytes", self.size_bytes), ("installed_bytes", self.installed_bytes)):
            if not 0 < count <= _MOST_BYTES:
                raise ValueError(f"{name} is {count}: expected 1 to {_MOST_BYTES}")
        for moment in (self.published, self.not_before):
            if moment is not None:
                parse_time(moment)
        if not self.url or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise ValueError(f"url is {self.url[:60]!r}: expected an address, or a path beside the channel's")
        check_rings(self.rings)
        if not 0 <= self.open_rings <= len(self.rings):
            raise ValueError(f"open_rings is {self.open_rings}: expected 0 to {len(self.rings)}")

    @property
    def title(self) -> str:
        """The version, and what people call it."""
        return f"{self.version} ({self.label})" if self.label else self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What a channel says at one moment."""

    schema_version: int = SCHEMA_VERSION
    name: str
    serial: int
    """One more with each file. A board accepts no smaller one than it has seen."""
    created: str
    """When this file was signed, UTC."""
    expires: str
    """From when on no board acts on this file, UTC."""
    paused: bool = False
    """Whether no board installs anything."""
    paused_reason: str | None = None
    releases: tuple[Release, ...] = field(default=(), metadata=OPEN)
    """Oldest first; all of one bundle."""
    keys: tuple[str, ...]
    """The public keys, in base64, one of which has to sign the next file."""

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"name is {self.name[:40]!r}: expected letters, digits, '.', '_', '-'")
        if not 0 < self.serial < 2**53:
            raise ValueError(f"serial is {self.serial}: expected a number from 1 on")
        if parse_time(self.expires) <= parse_time(self.created):
            raise ValueError(f"it expires ({self.expires}) before it was created ({self.created})")
        if len(self.releases) > _MOST_RELEASES:
            raise ValueError(f"it has {len(self.releases)} releases: expected at most {_MOST_RELEASES}")
        twice = [version for version, count in Counter(one.version for one in self.releases).items() if count > 1]
        if twice:
            raise ValueError(f"two releases are of the version {twice[0]}")
        if len(names := sorted({one.bundle_name for one in self.releases})) > 1:
            raise ValueError(f"it has releases of the bundles {' and '.join(names[:2])}: a channel brings one bundle")
        if not 0 < len(self.keys) <= _MOST_KEYS:
            raise ValueError(f"it names {len(self.keys)} keys: expected 1 to {_MOST_KEYS}")
        for key in self.keys:
            key_id(key)

    @property
    def created_at(self) -> datetime:
        """When this file was signed."""
        return parse_time(self.created)

    @property
    def expires_at(self) -> datetime:
        """From when on no board acts on it."""
        return parse_time(self.expires)

    def find(self, version: str | None) -> Release | None:
        """The release of a version; None if there is none."""
        return next((one for one in self.releases if one.version == version), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: of each ring only what it has."""
        values = json.loads(json.dumps(asdict(self)))
        for release in values["releases"]:
            release["rings"] = [{key: value for key, value in ring.items() if value} for ring in release["rings"]]
        return dict(values)


def parse_channel(payload: str, what: str, *, all_keys_known: bool = False) -> Channel:
    """A channel from its text, whose signature has been checked.

    Args:
        payload: The text.
        what: What it is, to begin a message with: "Channel file URL".
        all_keys_known: Refuse keys that this version would lose by writing the channel again.

    Raises:
        ChannelError: It is of a newer schema, or not a channel.
    """
    values = parse_json(payload.encode("utf-8", "replace"), what, ChannelError)
    if (found := values.get("schema_version")) != SCHEMA_VERSION:
        newer = isinstance(found, int) and found > SCHEMA_VERSION
        advice = "update mobilenet-edge" if newer else "it is another file"
        raise ChannelError(f"{what} has schema {json.dumps(found)[:40]}, expected {SCHEMA_VERSION}: {advice}.")
    try:
        channel = from_json(Channel, values, is_open=True)
    except KeyError as reason:
        raise ChannelError(f"{what} lacks the key {reason}.") from reason
    except (TypeError, ValueError, OverflowError) as reason:
        raise ChannelError(f"{what} cannot be used: {shortened(str(reason))}.") from reason
    if all_keys_known and set(_keys(values)) - set(_keys(channel.to_dict())):
        raise ChannelError(f"{what} was written by a newer version of mobilenet-edge: update it here too.")
    return channel


def to_payload(channel: Channel) -> str:
    """The text that is signed. It says what ``channel`` says, which is made sure of by reading it again.

    Raises:
        ChannelError: It does not.
    """
    payload = to_json(channel.to_dict())
    if parse_channel(payload, "The channel", all_keys_known=True) != channel:
        raise ChannelError("The channel reads otherwise than it is meant: it is not signed.")
    return payload


def _keys(value: object, path: str = "") -> list[str]:
    """The path of every key in a JSON value."""
    if isinstance(value, dict):
        return [one for key, inner in value.items() for one in (f"{path}.{key}", *_keys(inner, f"{path}.{key}"))]
    return [one for inner in value for one in _keys(inner, f"{path}[]")] if isinstance(value, list) else []


def absent_channel(folder: Path) -> ChannelError:
    """What to raise where a folder has no channel."""
    return ChannelError(f"There is no channel in {folder}: edge channel init {shlex.quote(str(folder))} makes one.")
