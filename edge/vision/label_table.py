"""A CSV of pictures and their classes, which training and teaching read and the page writes: ``path,label[,split]``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final, NamedTuple

from edge.errors import EdgeError, ImageError, os_reason

__all__ = ["LABEL_TABLE", "LabelRow", "read_label_table"]

LABEL_TABLE: Final = "labels.csv"
"""Its name where it lies beside the pictures."""


class LabelRow(NamedTuple):
    """One line of the table."""

    line: int
    path: Path
    label: str
    """Empty where the class is not known."""
    split: str
    """Empty where none is given."""


def read_label_table(table: Path, error: type[EdgeError] = ImageError) -> list[LabelRow]:
    """The rows of the table; paths in it are relative to its folder.

    Raises:
        EdgeError: Of the class ``error``: it cannot be read, or lacks a column.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            return [_row(table, reader.line_num, row, error) for row in reader]
    except EdgeError:
        raise
    except OSError as reason:
        raise error(f"Cannot read {table}: {os_reason(reason)}.") from reason
    except UnicodeDecodeError as reason:
        raise error(f"Cannot read {table}: it is not text in UTF-8.") from reason
    except csv.Error as reason:
        raise error(f"Cannot read {table}: it is no table of comma-separated values ({reason}).") from reason


def _row(table: Path, number: int, row: dict[str, str | None], error: type[EdgeError]) -> LabelRow:
    path, label = row.get("path"), row.get("label")
    if not path or label is None:
        raise error(f"{table}, line {number}: expected the columns path and label, and perhaps split.")
    return LabelRow(number, table.parent / path, label.strip(), (row.get("split") or "").strip())
