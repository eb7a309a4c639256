"""The part of a file that has come so far, kept beside the file's final place, also over a loss of power."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from edge.errors import DownloadError, EdgeError
from edge.files import sync, write_atomically, writing
from edge.json_files import read_json, to_json
from edge.locks import locked

__all__ = ["Partial", "partial"]


class Partial:
    """The beginning of a file, and of which version of it. One process at a time has it."""

    def __init__(self, to: Path, url: str, file: FileIO, note: Path) -> None:
        self._to, self._url, self._file, self._note = to, url, file, note
        self.validator: str | None = None
        if not self._is_of_this_url():
            self.restart(None)

    @property
    def path(self) -> Path:
        """Where it stands until it is whole."""
        return Path(self._file.name)

    @property
    def size_bytes(self) -> int:
        """How much has come."""
        return self._file.seek(0, os.SEEK_END)

    def restart(self, validator: str | None) -> None:
        """Forget what has come: the file starts from its first byte, in the version that ``validator`` identifies."""
        with writing(self._to):
            self._file.truncate(0)
            self._file.seek(0)
            os.fsync(self._file.fileno())  # else a loss of power could keep the old beginning beside the new note
        write_atomically(self._note, to_json({"url": self._url, "validator": validator}))
        self.validator = validator

    def append(self, data: bytes) -> None:
        """Add what comes next.

        Raises:
            OutputError: The disk does not take it. What had come is given up, so that its room is free again.
        """
        try:
            with writing(self._to):
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
        except EdgeError:
            self.drop()
            raise

    def drop(self) -> None:
        """Give up what has come."""
        self._file.truncate(0)
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Put the file, which is whole, into its place."""
        with writing(self._to):
            os.fsync(self._file.fileno())
            self.path.replace(self._to)
            sync(self._to.parent)
        self._note.unlink(missing_ok=True)

    def _is_of_this_url(self) -> bool:
        try:
            note = read_json(self._note, "note", DownloadError)
        except DownloadError:
            return False
        validator = note.get("validator")
        self.validator = validator if isinstance(validator, str) else None
        return note.get("url") == self._url


@contextlib.contextmanager
def partial(to: Path, url: str) -> Iterator[Partial]:
    """What has come of ``url`` for the place ``to``; it stays for the next time unless it is finished or dropped.

    Raises:
        DownloadError: Another process fetches to the same place.
        OutputError: Nothing can be written there.
    """
    part, lock = to.with_name(f".{to.name}.part"), to.with_name(f".{to.name}.lock")

    def refuse() -> None:
        raise DownloadError(f"Another process is fetching {to}: wait until it has ended.")

    with locked(lock, refuse):
        try:
            with writing(to), open(part, "ab", buffering=0, opener=_no_link) as file:
                yield Partial(to, url, file, part.with_name(f"{part.name}.json"))
        finally:
            lock.unlink(missing_ok=True)  # while it is held: filelock takes no file that has lost its name


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
