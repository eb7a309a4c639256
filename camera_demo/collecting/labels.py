"""The classes that people gave, in the ``labels.csv`` beside the pictures, which training and other tools read, too."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from camera_demo.errors import SinkError
from edge.files import write_atomically
from edge.vision.label_table import LABEL_TABLE, read_label_table

__all__ = ["Labels"]

_COLUMNS = ("path", "label")


class Labels:
    """The table of one folder. For one thread at a time; the file may change at any moment."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / LABEL_TABLE
        self._known: dict[str, str] = {}
        self._state: tuple[int, int, int] | None = None

    def by_file(self) -> dict[str, str]:
        """The class of each picture that was given one.

        Raises:
            SinkError: The table is there and cannot be read.
        """
        state = self._now()
        if state is None:
            return {}
        if state != self._state:
            rows = read_label_table(self._path, SinkError)
            self._known = {self._file(row.path): row.label for row in rows if row.label}
            self._state = state
        return dict(self._known)

    def give(self, files: Sequence[str], label: str) -> dict[str, str]:
        """Give pictures a class, or none with an empty label; what they were called before.

        Raises:
            SinkError: The table cannot be read.
            OutputError: It cannot be written; it is as it was.
        """
        before = self.by_file()
        columns, rows = self._table()
        mine = {self._file(self._folder / (row.get("path") or "")): row for row in rows}
        for file in files:
            if file not in mine:
                rows.append(row := {"path": file})
                mine[file] = row
            mine[file]["label"] = label
        self._write(columns, rows)
        return {file: before.get(file, "") for file in files}

    def forget(self, files: Collection[str]) -> None:
        """Leave out the rows of pictures that are gone for good.

        Raises:
            SinkError: The table cannot be read.
            OutputError: It cannot be written; it is as it was.
        """
        columns, rows = self._table()
        kept = [row for row in rows if self._file(self._folder / (row.get("path") or "")) not in files]
        if len(kept) < len(rows):
            self._write(columns, kept)

    def _table(self) -> tuple[list[str], list[dict[str, str]]]:
        """All columns and rows, those of others too; rows that say nothing any more are left out."""
        if self._now() is None:
            return list(_COLUMNS), []
        read_label_table(self._path, SinkError)  # raises unless it is a table of labels
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = [{key: value for key, value in row.items() if isinstance(value, str)} for row in reader]
            return list(reader.fieldnames or _COLUMNS), rows

    def _write(self, columns: list[str], rows: Sequence[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if any(row.get(name) for name in columns if name != "path"))
        write_atomically(self._path, text.getvalue())

    def _file(self, path: Path) -> str:
        return os.path.relpath(path, self._folder)

    def _now(self) -> tuple[int, int, int] | None:
        """What tells the file from the same at another moment; None where there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns
