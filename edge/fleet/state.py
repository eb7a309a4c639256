"""What a board that follows a channel knows of itself: one small JSON file that other programs may read.

The file tells what is going on; which version is in use is decided by the bundle's ``active.json`` alone
(:mod:`edge.bundles.registry`), and the next step brings this file into line with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from edge.bundles.registry import bundles_folder, bundles_folders
from edge.errors import ChannelError
from edge.files import write_atomically
from edge.fleet.health import Gate
from edge.fleet.timestamps import parse_time, timestamp
from edge.json_files import read_json, to_json
from edge.paths import is_there
from edge.text import one_line
from edge.typed_json import OPEN, from_json

__all__ = [
    "BadVersion",
    "FollowState",
    "Phase",
    "Trust",
    "find_state",
    "fleet_folder",
    "parse_time",
    "read_state",
    "state_file",
    "timestamp",
    "write_state",
]

Phase = Literal["idle", "downloading", "testing", "watching", "rolled_back", "failed", "held"]
"""
``idle``: nothing to do. ``downloading``, ``testing``: a version is on its way, or was when the process was killed.
``watching``: a new version is in use, and its health is compared with the hours before. ``rolled_back``: it was worse.
``failed``: the last step ended with ``error``. ``held``: a version is waiting, and ``error`` says for what.
"""

_SCHEMA_VERSION: Final = 1
_NAME: Final = "follow.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadVersion:
    """A version that this board does not install again by itself."""

    version: str
    reason: str
    """One line."""
    at: str
    """When it was found out, UTC."""
    was_in_use: bool = True
    """Whether it was rolled back; false where its self-test failed already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What was accepted last of a channel, so that nothing older is."""

    configured: tuple[str, ...]
    """The ids of the keys in the configured file. Where that changes, the chain starts from them again."""
    address: str
    """The SHA-256 of the channel's address, which may hold a secret. Only with another one may it have another name."""
    sha256: str
    """Of the signed text, so that there are no two of one serial."""
    created: str
    """The newest time that a signed file has named, UTC."""
    keys: tuple[str, ...]
    """The public keys that may sign the next file, in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowState:
    """A board and the channel it follows."""

    schema_version: int = _SCHEMA_VERSION
    board_id: str
    """What the board is called in the fleet; its ring follows from it."""
    host: str = ""
    """The machine's host name, for people."""
    group: str | None = None
    """From the board's own configuration."""
    channel: str | None = None
    """Its name; None until it was read once."""
    serial: int = 0
    """Of the channel file accepted last."""
    expires: str | None = None
    """When that file expires, UTC."""
    checked: str = ""
    """When the last step was taken, whatever came of it, UTC by this board's clock."""
    bundle: str | None = None
    """The name of the bundle that the channel brings."""
    installed: str | None = None
    """The version in use, as :attr:`edge.bundles.registry.Installed.active`; None where none is: what ships with the
    package is in use, if anything does."""
    previous: str | None = None
    """The version before; None as above."""
    latest: str | None = None
    """The newest version that is meant for this board; None if there is none."""
    target: str | None = None
    """The version that is downloaded or tested; None while none is."""
    labels: Mapping[str, str] | None = None
    """What people call the versions above, of those that have such a name."""
    phase: Phase = "idle"
    progress: float | None = None
    """Share of the download, 0 to 1; None where nothing is downloaded."""
    since: str = ""
    """When the phase began, UTC by this board's clock."""
    watching_until: str | None = None
    """When the health window ends, UTC by this board's clock; None where nothing is watched."""
    gate: Gate | None = field(default=None, metadata=OPEN)
    """What the version that is watched must hold; None where nothing is watched."""
    bad: tuple[BadVersion, ...] = field(default=(), metadata=OPEN)
    """Oldest first."""
    error: str | None = None
    """One line: why the last step failed, or what is waited for."""
    passed_over: str | None = None
    """The newest release when somebody put another version to use by hand: that one stays until there is a newer."""
    ring: str | None = None
    """The ring of the latest release that this board is in; None if it is in none."""
    trust: Trust | None = None

    @property
    def bad_versions(self) -> frozenset[str]:
        """The versions that are not installed again."""
        return frozenset(one.version for one in self.bad)

    @property
    def in_use(self) -> str:
        """The version in use; ``shipped`` for what ships with the package, ``none`` where nothing is installed."""
        from edge.bundles.bundle import shipped_bundles  # which loads NumPy, and edge doctor has to do without

        return self.installed or ("shipped" if self.bundle in shipped_bundles() else "none")

    @property
    def is_pending(self) -> bool:
        """Whether a version is meant for this board that it has not, and has not found to be bad."""
        return self.latest is not None and self.latest not in {self.installed, *self.bad_versions}

    def in_phase(self, phase: Phase, now: datetime, **changes: Any) -> FollowState:
        """This state in another phase, which began ``now`` unless it is the same one.

        Error, progress and what belongs to watching are forgotten, but for ``changes``.
        """
        since = self.since if phase == self.phase and self.since else timestamp(now)
        values: dict[str, Any] = {"progress": None, "error": None, "watching_until": None, "gate": None, "target": None}
        return replace(self, phase=phase, since=since, **{**values, **changes})

    def with_bad(self, version: str, reason: str, now: datetime, *, was_in_use: bool = True) -> FollowState:
        """This state with a version remembered as bad."""
        others = tuple(one for one in self.bad if one.version != version)
        bad = BadVersion(version=version, reason=one_line(reason), at=timestamp(now), was_in_use=was_in_use)
        return replace(self, bad=(*others, bad)[-_MOST_BAD:])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


_MOST_BAD: Final = 100


def fleet_folder() -> Path:
    """Where the state is kept: this user's data folder; for root, ``/var/lib/mobilenet-edge``."""
    return bundles_folder().parent


def state_file(folder: Path | None = None) -> Path:
    """The state's place."""
    return (folder or fleet_folder()) / _NAME


def find_state(folders: Iterable[Path] | None = None) -> FollowState | None:
    """The state of this machine, from the first folder that has one: the user's own, then the system's.

    Raises:
        ChannelError: It is damaged.
    """
    places = [folder.parent for folder in bundles_folders()] if folders is None else folders
    return next((state for folder in places if (state := read_state(folder)) is not None), None)


def read_state(folder: Path | None = None) -> FollowState | None:
    """The state kept in ``folder``; None if there is none.

    Raises:
        ChannelError: It is damaged, or was written by a newer version of this package.
    """
    path = state_file(folder)
    if not is_there(path, Path.exists):
        return None
    advice = "Remove it to start from scratch; the bundle in use stays."
    try:
        values = read_json(path, "state of following", ChannelError)
    except ChannelError as reason:
        raise ChannelError(f"{reason} {advice}") from reason
    if (found := values.get("schema_version")) != _SCHEMA_VERSION:
        raise ChannelError(f"State of following {path} has schema {found!r}, expected {_SCHEMA_VERSION}. {advice}")
    try:
        return from_json(FollowState, values)
    except (KeyError, TypeError, ValueError) as reason:
        raise ChannelError(f"State of following {path} is damaged ({reason}). {advice}") from reason


def write_state(state: FollowState, folder: Path | None = None) -> None:
    """Put ``state`` in the place of what is kept in ``folder``, in one moment.

    Raises:
        OutputError: It cannot be written; the old one stays.
    """
    path = state_file(folder)
    write_atomically(path, to_json(state.to_dict()))
