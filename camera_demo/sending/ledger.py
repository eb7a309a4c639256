"""What was sent where: a file beside the pictures, replaced as a whole after each batch that was confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edge.errors import OutputError
from edge.files import write_atomically
from edge.json_files import read_json, to_json

__all__ = ["LEDGER", "Ledger"]

LEDGER: Final = ".sent.json"
DAY_S: Final = 24 * 3600.0


class Ledger:
    """Of one folder and one target. For one process at a time."""

    def __init__(self, folder: Path, target: str) -> None:
        """Read it.

        Args:
            folder: The folder of pictures.
            target: Where to, without secrets.

        Raises:
            OutputError: It is there and cannot be read: without it everything would be sent again.
        """
        self._path, self._target = folder / LEDGER, target
        self._values: dict[str, Any] = {"schema_version": 1, "targets": {}}
        if self._path.exists():
            self._values = read_json(self._path, "ledger of sent pictures", OutputError)
        targets = self._values.get("targets")
        mine: Any = targets.get(target, {"files": [], "sent": []}) if isinstance(targets, dict) else None
        try:
            if self._values["schema_version"] != 1 or not isinstance(mine["files"], list):
                raise ValueError
            self._files: dict[str, None] = dict.fromkeys(map(str, mine["files"]))
            self._sent = [(float(at_s), int(size)) for at_s, size in mine["sent"]]
        except (KeyError, TypeError, ValueError):
            raise OutputError(
                f"{self._path} is not a ledger of sent pictures: remove it to send everything again."
            ) from None

    def __contains__(self, file: str) -> bool:
        return file in self._files

    def sent_bytes(self, now_s: float) -> int:
        """In the 24 hours before."""
        return sum(size for at_s, size in self._sent if abs(now_s - at_s) < DAY_S)

    def confirm(self, files: Sequence[str], size_bytes: int, now_s: float) -> None:
        """Note that a batch has arrived. It is on the disk when this returns.

        Raises:
            OutputError: It cannot be written; the batch is sent again, then.
        """
        self._files.update(dict.fromkeys(files))
        self._sent = [*(one for one in self._sent if abs(now_s - one[0]) < DAY_S), (now_s, size_bytes)]
        self._values["targets"][self._target] = {"files": list(self._files), "sent": self._sent}
        write_atomically(self._path, to_json(self._values))
