"""Figures of a run as it goes: rows of a CSV file, and TensorBoard's events on request."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from convert.errors import TrainingError
from edge.errors import OutputError, os_reason

__all__ = ["COLUMNS", "Metrics"]

COLUMNS: Final = ("step", "loss", "rate", "pictures_per_s", "top1")
"""Of the CSV file; a cell without a figure is empty."""


class Metrics:
    """Appends to ``metrics.csv``; rows of steps that are done again are taken off first."""

    def __init__(self, path: Path, *, after_step: int = 0, tensorboard: Path | None = None) -> None:
        """Go on behind the row of ``after_step``.

        Raises:
            TrainingError: TensorBoard is requested and not installed.
            OutputError: The file cannot be written.
        """
        self._path = path
        self._events: Any = _events(tensorboard) if tensorboard else None
        rows = [row for row in _rows(path) if int(row["step"]) <= after_step] if after_step else []
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        except OSError as reason:
            raise OutputError(f"Cannot write {path}: {os_reason(reason)}.") from reason

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a row. A figure that cannot be written is left out: training continues."""
        row = {"step": step, **{name: f"{value:.6g}" for name, value in figures.items()}}
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        except OSError:
            return
        for name, value in figures.items() if self._events else ():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard has not written yet."""
        if self._events:
            self._events.close()


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
    except OSError:
        return []


def _events(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as reason:
        raise TrainingError("TensorBoard is not installed: pip install tensorboard, or train without it.") from reason
    return SummaryWriter(str(folder))
