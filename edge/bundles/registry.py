"""Which bundles are installed on this machine, in which version each is in use, and which was before.

A bundle has a folder by its name, its versions in folders below ``versions``, and ``active.json``, which names the one
in use and the one before. One atomic write of that file is the whole switch, so no loss of power falls between.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import BundleError
from edge.files import write_atomically
from edge.json_files import read_json, to_json
from edge.paths import data_folder, found_in, is_there, state_folder

__all__ = [
    "TAUGHT",
    "Installed",
    "bundles_folder",
    "bundles_folders",
    "find_installed",
    "folder_of",
    "installed_bundles",
    "is_name",
    "taught_folder",
    "version_of",
]

SYSTEM: Final = Path("/var/lib/mobilenet-edge/bundles")
"""What root installs, for the service and for everybody."""
TAUGHT: Final = "taught-"
"""What the names of bundles begin with that are taught on the page."""
_STATE: Final = "active.json"
_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A bundle that was installed."""

    home: Path
    """Its folder, which bears its name."""
    active: str | None = None
    """The version in use; None for the one that ships with the package."""
    previous: str | None = None
    """The version before; None for the one that ships with the package, if any."""

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.home.name

    @property
    def versions(self) -> Path:
        """The folder of all versions."""
        return self.home / "versions"

    def folder(self, version: str) -> Path:
        """Where a version's files are."""
        return self.versions / version

    def switch(self, version: str | None) -> Installed:
        """Put another version to use, from one moment to the next; the one in use becomes the previous one.

        Raises:
            OutputError: The change cannot be written; everything is as it was.
        """
        if version == self.active:
            return self
        write_atomically(
            self.home / _STATE,
            to_json({"schema_version": _SCHEMA_VERSION, "active": version, "previous": self.active}),
        )
        return Installed(home=self.home, active=version, previous=self.active)


def bundles_folder() -> Path:
    """Where this user installs bundles: below the user's data folder; for root, unless that is set, :data:`SYSTEM`."""
    if os.geteuid() == 0 and "XDG_DATA_HOME" not in os.environ:
        return SYSTEM
    return data_folder() / "bundles"


def taught_folder() -> Path:
    """Where bundles are installed that are taught on the page: in this user's state, which the service may write.

    Only names that begin with :data:`TAUGHT` count there, so that none stands for a bundle that root installed.
    """
    return state_folder() / "taught"


def bundles_folders() -> tuple[Path, ...]:
    """Where installed bundles are looked for: this user's folder, then the system's, then that of what was taught."""
    return tuple(dict.fromkeys((bundles_folder(), SYSTEM, taught_folder())))


def folder_of(name: str) -> Path:
    """Which of this user's folders has a bundle; :func:`bundles_folder` where none has."""
    installed = find_installed(name, (bundles_folder(), taught_folder()))
    return bundles_folder() if installed is None else installed.home.parent


def version_of(manifest: bytes) -> str:
    """The version of a bundle, by its manifest, which names the SHA-256 of every file: sixteen hexadecimal digits."""
    return hashlib.sha256(manifest).hexdigest()[:16]


def is_name(name: str) -> bool:
    """Whether a bundle can be installed under a name, which becomes that of a folder."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name) is not None


def find_installed(name: str, folders: Iterable[Path] | None = None) -> Installed | None:
    """The installed bundle of this name, from the first folder that has it.

    Raises:
        BundleError: What is noted of it cannot be understood.
    """
    homes = [folder / name for folder in (bundles_folders() if folders is None else folders)] if is_name(name) else []
    return next((_read(home) for home in homes if _counts(home) and is_there(home / _STATE, Path.is_file)), None)


def installed_bundles(folders: Iterable[Path] | None = None) -> Iterator[Installed]:
    """Every installed bundle, by folder and name.

    Raises:
        BundleError: What is noted of one cannot be understood.
    """
    for folder in bundles_folders() if folders is None else folders:
        for state in sorted(found_in(folder, f"*/{_STATE}")):
            if _counts(state.parent):
                yield _read(state.parent)


def _counts(home: Path) -> bool:
    return home.name.startswith(TAUGHT) or home.parent != taught_folder()


def _read(home: Path) -> Installed:
    state = read_json(home / _STATE, "note of the version in use", BundleError)
    versions = [state.get(key) for key in ("active", "previous")]
    known = all(v is None or (isinstance(v, str) and re.fullmatch(r"[0-9a-f]{16}", v)) for v in versions)
    if state.get("schema_version") != _SCHEMA_VERSION or not known:
        raise BundleError(f"{home / _STATE} names no version of bundle {home.name}: activate one again.")
    return Installed(home=home, active=versions[0], previous=versions[1])
