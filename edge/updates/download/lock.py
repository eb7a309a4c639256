"""The lock file: what each published file was when it came for the first time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from edge.errors import DownloadError
from edge.files import write_atomically
from edge.json_files import read_json, to_json

__all__ = ["Lock", "Locked"]

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One file as it was first seen."""

    url: str
    size_bytes: int
    sha256: str


class Lock:
    """The entries of a lock file, by the names of the files; every new one is written at once.

    There is no published checksum to hold these files against. So the first fetch is trusted, over HTTPS and if the
    file is what it should be; from then on, on every machine that has the lock file, only that very file will do.
    """

    def __init__(self, path: Path) -> None:
        """Read the lock file, if there is one.

        Raises:
            DownloadError: It cannot be read or is none.
        """
        self.path = path
        self._entries = _read(path) if path.exists() else {}

    def get(self, name: str) -> Locked | None:
        """What the file of this name has to be, if that is known."""
        return self._entries.get(name)

    def add(self, name: str, entry: Locked) -> None:
        """Write down what a file is.

        Raises:
            OutputError: The lock file cannot be written.
        """
        self._entries[name] = entry
        files = {key: asdict(value) for key, value in sorted(self._entries.items())}
        write_atomically(self.path, to_json({"schema_version": _SCHEMA_VERSION, "files": files}))


def _read(path: Path) -> dict[str, Locked]:
    values = read_json(path, "lock file", DownloadError)
    advice = "Remove it to trust what is fetched next, or put it back as it was."
    if values.get("schema_version") != _SCHEMA_VERSION:
        raise DownloadError(
            f"Lock file {path} has schema {values.get('schema_version')!r}, expected {_SCHEMA_VERSION}. {advice}"
        )
    try:
        return {name: _locked(entry) for name, entry in values["files"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as reason:
        raise DownloadError(f"Lock file {path} is damaged ({reason}). {advice}") from reason


def _locked(values: dict[str, object]) -> Locked:
    url, size_bytes, sha256 = values["url"], values["size_bytes"], values["sha256"]
    if not (isinstance(url, str) and isinstance(size_bytes, int) and isinstance(sha256, str) and len(sha256) == 64):
        raise ValueError(f"an entry is {values}")
    return Locked(url=url, size_bytes=size_bytes, sha256=sha256)
