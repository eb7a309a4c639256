"""Labelled pictures on disk: found by class folder or listed in a CSV, and divided once and for all."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from convert.data.image_sets import readable_pictures, shuffled_bursts
from convert.errors import TrainingError
from edge.errors import ImageError, os_reason
from edge.files import shown_name, write_atomically
from edge.vision.images import hidden_folders
from edge.vision.label_table import LABEL_TABLE, read_label_table

__all__ = ["UNLABELLED", "DataSet", "Labelled", "read_dataset", "write_splits"]

_log = logging.getLogger(__name__)

UNLABELLED: Final = -1
"""The class of a picture whose class is not known."""
Split = Literal["train", "validation", "test"]
_SPLITS: Final[dict[str, Split]] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders and cells of a table are called, in any case."""
_NAMED: Final = 20
_COLUMNS: Final = ("path", "label", "split")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and its class; ``UNLABELLED`` where that is not known."""

    path: Path
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Pictures to learn from, and others to measure on."""

    labels: tuple[str, ...]
    """The name of each class."""
    train: tuple[Labelled, ...]
    validation: tuple[Labelled, ...]
    test: tuple[Labelled, ...] = ()
    """Pictures that nothing is decided on; empty where the validation pictures serve."""

    @property
    def measured(self) -> tuple[Labelled, ...]:
        """The pictures that the accuracy is measured on in the end."""
        return self.test or self.validation

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise TrainingError(
                f"There is one class only, '{self.labels[0]}': expected two or more. Add a class for everything else."
            )
        for split, items in (("train", self.train), ("validation", self.validation)):
            counts = Counter(item.label for item in items)
            missing = [name for index, name in enumerate(self.labels) if not counts[index]]
            if missing and not (split == "train" and counts[UNLABELLED]):
                raise TrainingError(
                    f"Class '{missing[0]}' has no picture in the {split} split ({len(missing)} such): its accuracy "
                    "could not be learned or known. Give it two pictures or more, or leave the split to training."
                )

    def summary(self) -> str:
        """How many pictures of which classes there are, in words."""
        names, more = ", ".join(self.labels[:_NAMED]), len(self.labels) - _NAMED
        names += f" and {more} more" if more > 0 else ""
        counts = f"{len(self.train)} pictures of {len(self.labels)} classes to learn from, {len(self.measured)}"
        checks = f", {len(self.validation)} to choose the best weights by" if self.test else ""
        return f"{counts} to measure on{checks}; the classes: {names}"


def read_dataset(data: Path, share: float = 0.2) -> DataSet:
    """The pictures of ``data``, divided into those to learn from and those to measure on.

    Args:
        data: A folder with a folder for each class; with a ``labels.csv``; or with such folders in ``train`` and
            ``val``, ``test`` or both, where ``test`` measures in the end; or a CSV file with the columns ``path``,
            ``label`` (which may be empty, if there is a teacher) and, if the split is made, ``split``.
        share: Part of each class to hold back for measuring where no split is made. The same pictures each time;
            those that look like one burst by their names stay together.

    Raises:
        TrainingError: There is nothing to learn from, a class is empty, or there is only one.
    """
    table = data / LABEL_TABLE if data.is_dir() else data
    rows = _from_csv(table) if table.is_file() else _from_folders(data)
    labels = tuple(sorted({label for _, label, _ in rows if label}))
    if not labels:
        raise TrainingError(f"{data} names no class: expected two or more.")
    index = {label: n for n, label in enumerate(labels)}
    items: dict[Split, list[Labelled]] = {"train": [], "validation": [], "test": []}
    for path, label, split in rows if any(split for *_, split in rows) else _divided(rows, share):
        items[split or "train"].append(Labelled(path, index.get(label, UNLABELLED)))
    train, validation, test = (tuple(items[split]) for split in ("train", "validation", "test"))
    return DataSet(labels=labels, train=train, validation=validation or test, test=test if validation else ())


def write_splits(dataset: DataSet, path: Path) -> None:
    """Write which picture is in which split, as a CSV that :func:`read_dataset` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for split, items in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        for item in items:
            label = "" if item.label == UNLABELLED else dataset.labels[item.label]
            writer.writerow((os.path.relpath(item.path.resolve(), path.parent.resolve()), label, split))
    write_atomically(path, text.getvalue())


_Row = tuple[Path, str, Split | None]


def _from_folders(data: Path) -> list[_Row]:
    folders = _folders(data)
    splits = [(folder, _SPLITS.get(folder.name.lower())) for folder in folders]
    if len({split for _, split in splits}) > 1 and all(split for _, split in splits):
        return [(path, label, split) for folder, split in splits for path, label in _by_class(folder)]
    inner = [{folder.name for folder in _folders(one)} for one in folders]
    if len(folders) > 1 and inner[0] and all(names == inner[0] for names in inner) and not _holds_files(folders):
        names = " and ".join(folder.name for folder in folders[:3])
        raise TrainingError(
            f"{data} holds the folders {names}, and in each of them the same ones ({', '.join(sorted(inner[0])[:3])}): "
            "these look like splits, not classes. Expected splits to be named train, val and test, or one folder for "
            "each class."
        )
    return [(path, label, None) for path, label in _by_class(data)]


def _holds_files(folders: Sequence[Path]) -> bool:
    return any(path.is_file() for folder in folders for path in folder.iterdir() if not path.name.startswith("."))


def _folders(data: Path) -> list[Path]:
    try:
        found = [folder for folder in data.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    except OSError as reason:
        raise TrainingError(
            f"Cannot read {data}: {os_reason(reason)}. Expected a folder with a folder for each class, or a CSV file."
        ) from reason
    return sorted(found)


def _by_class(data: Path) -> Iterable[tuple[Path, str]]:
    folders, hidden = _folders(data), hidden_folders(data)
    if hidden:
        names = ", ".join(f"{shown_name(name)} ({count})" for name, count in hidden.items())
        _log.warning(
            "Passed over in %s, as their names begin with a dot: %s. Name them otherwise to use them.",
            shown_name(data),
            names,
        )
    if not folders:
        raise TrainingError(f"{data} has no folders: expected one for each class, named as the class is.")
    for folder in folders:
        try:
            paths = readable_pictures(folder, "add some, or remove this folder of a class")
        except ImageError as reason:
            raise TrainingError(str(reason)) from reason
        yield from ((path, folder.name.replace("_", " ")) for path in paths)


def _from_csv(data: Path) -> list[_Row]:
    rows: dict[Path, _Row] = {}
    for line, path, label, split in read_label_table(data, TrainingError):
        if split.lower() not in ("", *_SPLITS):
            raise TrainingError(
                f"{data}, line {line}: split '{split}' is not known: expected train, validation or test."
            )
        row = path, label, _SPLITS.get(split.lower())
        if rows.setdefault(path, row) != row:
            raise TrainingError(f"{data}, line {line}: {path} has another class or split in a line before.")
    return list(rows.values())


def _divided(rows: Sequence[_Row], share: float) -> Iterable[_Row]:
    """``share`` of each class, at least one picture, for measuring; pictures without a class only to learn from."""
    classes: dict[str, list[Path]] = {}
    for path, label, _ in rows:
        classes.setdefault(label, []).append(path)
    for label, paths in classes.items():
        wanted = 0 if not label else max(1, round(share * len(paths)))
        held_back: set[Path] = set()
        for group in shuffled_bursts(paths):
            if len(held_back) < wanted and len(held_back) + len(group) <= max(wanted, len(paths) // 2):
                held_back.update(group)
        yield from ((path, label, "validation" if path in held_back else "train") for path in paths)
