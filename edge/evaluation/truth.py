"""Which class each picture shows, by its folder's name or by a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import EdgeError, ImageError
from edge.json_files import read_json
from edge.vision.images import image_files
from edge.vision.label_table import read_label_table

__all__ = ["pictures_of_nothing", "read_truth", "unknown_folders"]


def read_truth(
    paths: Sequence[Path], labels: Sequence[str], file: Path | None, error: type[EdgeError] = ImageError
) -> dict[Path, int]:
    """The class of each picture, where it is known.

    Args:
        paths: The pictures.
        labels: The classes' names.
        file: A JSON object of file names and class indices, or a CSV file with the columns ``path`` and ``label``;
            None to take the name of the folder a picture lies in, where that is a label (with ``_`` for spaces, in
            any case).
        error: What to raise.

    Raises:
        EdgeError: Of the class ``error``: the file cannot be used, or names a class there is not.
    """
    if file is not None and file.suffix.lower() == ".csv":
        return _of_table(paths, labels, file, error)
    if file is not None:
        truth = _truth_file(file, len(labels), error)
        return {path: truth[path.name] for path in paths if path.name in truth}
    index = {_folded(label): number for number, label in enumerate(labels) if label}
    folders = {path: _folded(path.parent.name) for path in paths}
    return {path: index[folder] for path, folder in folders.items() if folder in index}


def unknown_folders(paths: Sequence[Path], truth: Mapping[Path, int]) -> dict[str, int]:
    """Names of the folders whose pictures have no known class, and how many those are, most first."""
    return dict(Counter(path.parent.name for path in paths if path not in truth).most_common())


def pictures_of_nothing(folder: Path, error: type[EdgeError] = ImageError) -> list[Path]:
    """The pictures below a folder that show nothing in particular, at least one.

    Raises:
        EdgeError: Of the class ``error``: there is no such folder, or no picture in it.
    """
    try:
        paths = image_files(folder)
    except ImageError as reason:
        raise error(str(reason)) from reason
    if not paths:
        raise error(f"{folder} has no pictures: expected some that show none of the classes.")
    return paths


def _of_table(paths: Sequence[Path], labels: Sequence[str], table: Path, error: type[EdgeError]) -> dict[Path, int]:
    index = {_folded(label): number for number, label in enumerate(labels) if label}
    rows = {row.path.resolve(): _folded(row.label) for row in read_label_table(table, error)}
    found = {path: rows.get(path.resolve(), "") for path in paths}
    return {path: index[label] for path, label in found.items() if label in index}


def _folded(name: str) -> str:
    return name.replace(" ", "_").lower()


def _truth_file(file: Path, classes: int, error: type[EdgeError]) -> dict[str, int]:
    values = read_json(file, "list of classes", error)
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < classes:
            raise error(f"List of classes {file}: {name} has class {value!r}, expected 0 to {classes - 1}.")
    return values
