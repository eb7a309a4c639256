"""Pictures to learn from: found by class folder or in a ``labels.csv``, and held against each other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import ImageError, TeachingError, os_reason
from edge.files import shown_name
from edge.vision.bursts import by_burst
from edge.vision.images import hidden_folders, image_files, unread_pictures
from edge.vision.label_table import LABEL_TABLE, read_label_table

__all__ = ["MOST_PICTURES", "Pictures", "check_name", "find_pictures"]

MOST_PICTURES: Final = 2000
"""More take an hour on a board, and are worth training on instead."""
LEAST_OF_A_CLASS: Final = 2
ENOUGH_OF_A_CLASS: Final = 3
_LONGEST_NAME: Final = 100
_NAMED: Final = 5
_NOTHING: Final = ("nothing", "none", "background", "empty", "other", "something else")
"""Names of a class for the scene without any of the things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What there is to learn from."""

    labels: tuple[str, ...]
    """The name of each class."""
    paths: tuple[Path, ...]
    classes: tuple[int, ...]
    """The class of each picture."""
    bursts: tuple[int, ...]
    """The burst of each picture; pictures of one burst show nearly the same."""
    notes: tuple[str, ...] = ()
    """What lowers the result, in sentences."""

    def without(self, places: set[int], notes: Sequence[str]) -> Pictures:
        """Without the pictures at these places, which turned out to be unreadable.

        Raises:
            TeachingError: Too few of a class are left.
        """
        kept = [place for place in range(len(self.paths)) if place not in places]
        left = Pictures(
            labels=self.labels,
            paths=tuple(self.paths[place] for place in kept),
            classes=tuple(self.classes[place] for place in kept),
            bursts=tuple(self.bursts[place] for place in kept),
            notes=(*self.notes, *notes),
        )
        _check_counts(left.labels, left.classes)
        return left


def find_pictures(place: Path) -> Pictures:
    """The pictures of a folder with a folder for each class, or of a CSV file with the columns ``path`` and ``label``.

    A folder that has a ``labels.csv`` is read by that. Pictures without a label are passed over.

    Raises:
        TeachingError: There are too few classes, too few pictures of one, one picture in two classes, or a class
            whose name cannot be one.
    """
    table = place / LABEL_TABLE if place.is_dir() else place
    rows, notes = _of_table(table) if table.is_file() else _of_folders(place)
    labels = tuple(sorted({label for _, label in rows}))
    for label in labels:
        check_name(label)
    index = {label: number for number, label in enumerate(labels)}
    rows, twice = _without_copies(rows)
    _check_counts(labels, [index[label] for _, label in rows])
    rows, left_out = _at_most(rows, labels)
    paths: list[Path] = []
    classes: list[int] = []
    bursts: list[int] = []
    lone = []
    for label in labels:
        mine = [path for path, other in rows if other == label]
        groups = by_burst(mine)
        if len(groups) == 1:
            groups = [[path] for path in mine]
            lone.append(label)
        for group in groups:
            number = max(bursts, default=-1) + 1
            paths += group
            classes += [index[label]] * len(group)
            bursts += [number] * len(group)
    if lone:
        names = _listed([repr(label) for label in lone])
        notes.append(f"by their names all pictures are one burst, so the figures may be too good: {names}")
    if twice:
        notes.append(f"{twice} pictures are there more than once, and count once")
    if left_out:
        notes.append(
            f"{len(rows)} of {len(rows) + left_out} pictures are used: for more, train on a workstation "
            "(edge-convert train)"
        )
    counts = Counter(classes)
    few = [f"{label!r} ({counts[number]})" for number, label in enumerate(labels) if counts[number] < ENOUGH_OF_A_CLASS]
    if few:
        notes.append(f"too few pictures of {_listed(few)}: {ENOUGH_OF_A_CLASS} are the least to begin with")
    if not any(label.lower() in _NOTHING for label in labels):
        notes.append(
            "no class for the empty scene: pictures of it as 'nothing' tell the classes from what is none of them"
        )
    return Pictures(labels=labels, paths=tuple(paths), classes=tuple(classes), bursts=tuple(bursts), notes=tuple(notes))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _of_table(table: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    rows = read_label_table(table, TeachingError)
    known = [(path, label) for _, path, label, _ in rows if label]
    missing = [path for path, _ in known if not path.is_file()]
    notes = []
    if len(known) < len(rows):
        notes.append(f"{len(rows) - len(known)} pictures have no label, and are passed over")
    if missing:
        notes.append(f"{len(missing)} pictures of {table.name} are missing, the first: {shown_name(missing[0])}")
    return [(path, label) for path, label in known if path.is_file()], notes


def _of_folders(place: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    try:
        folders = sorted(one for one in place.iterdir() if one.is_dir() and not one.name.startswith("."))
        rows = [(path, folder.name.replace("_", " ").strip()) for folder in folders for path in image_files(folder)]
    except (OSError, ImageError) as reason:
        why = str(reason) if isinstance(reason, ImageError) else f"Cannot read {place}: {os_reason(reason)}."
        raise TeachingError(f"{why} Expected a folder with a folder for each class, or with a {LABEL_TABLE}.") from None
    unread, hidden = unread_pictures(place), _named_with_a_dot(place)
    if not rows:
        other = f", only {unread}, which are not read" if unread else f"; {hidden}" if hidden else ""
        raise TeachingError(
            f"{place} has no pictures in folders{other}: expected a folder for each class, named as the class is, "
            f"or a {LABEL_TABLE}."
        )
    empty = [folder.name for folder in folders if not any(path.is_relative_to(folder) for path, _ in rows)]
    if hidden and len({label for _, label in rows}) == 1:
        raise TeachingError(f"There is one class only, {rows[0][1]!r}; {hidden}.")
    notes = [f"passed over: {unread}; save them as JPEG to use them"] if unread else []
    if hidden:
        notes.append(hidden)
    if empty:
        notes.append(f"folders without pictures: {', '.join(map(shown_name, empty[:_NAMED]))}")
    return rows, notes


def _named_with_a_dot(place: Path) -> str:
    """That folders of pictures are passed over for their names; empty where there are none."""
    folders = hidden_folders(place)
    names = _listed([f"{shown_name(name)} ({count})" for name, count in folders.items()])
    dot = "their names begin with a dot: name them otherwise to use them"
    return f"passed over, as {dot}: {names}" if folders else ""


def check_name(label: str) -> None:
    """Refuse what cannot be the name of a class.

    Raises:
        TeachingError: It is empty, too long, or not printable.
    """
    if not label.isprintable() or len(label) > _LONGEST_NAME or not label.strip(" ."):
        shown = label[:30].encode("unicode_escape").decode()
        raise TeachingError(
            f"'{shown}' cannot be the name of a class: expected printable text of 1 to {_LONGEST_NAME} characters."
        )


def _without_copies(rows: Sequence[tuple[Path, str]]) -> tuple[list[tuple[Path, str]], int]:
    """Each picture once, and how many there were more often.

    Raises:
        TeachingError: A picture is in two classes, or cannot be read.
    """
    seen: dict[bytes, tuple[Path, str]] = {}
    kept = []
    for path, label in rows:
        try:
            digest = hashlib.sha256(path.read_bytes()).digest()
        except OSError as reason:
            raise TeachingError(f"Cannot read {path}: {os_reason(reason)}.") from reason
        if digest not in seen:
            seen[digest] = (path, label)
            kept.append((path, label))
        elif (other := seen[digest])[1] != label:
            raise TeachingError(
                f"{path} of {label!r} and {other[0]} of {other[1]!r} are the same picture: expected it in one class."
            )
    return kept, len(rows) - len(kept)


def _check_counts(labels: Sequence[str], classes: Sequence[int]) -> None:
    if len(labels) < 2:
        only = f"one class only, {labels[0]!r}" if labels else "no class"
        raise TeachingError(
            f"There is {only}: expected two or more. Add a class for everything else, such as 'nothing' for the empty "
            "scene."
        )
    counts = Counter(classes)
    for number, label in enumerate(labels):
        if counts[number] < LEAST_OF_A_CLASS:
            pictures = "1 picture" if counts[number] == 1 else "no picture that can be read"
            raise TeachingError(
                f"Class {label!r} has {pictures}: expected {ENOUGH_OF_A_CLASS} or more, {LEAST_OF_A_CLASS} at the "
                "very least."
            )


def _at_most(rows: Sequence[tuple[Path, str]], labels: Sequence[str]) -> tuple[list[tuple[Path, str]], int]:
    """As many pictures as may be used, spread evenly over each class, and how many are left out."""
    if len(rows) <= MOST_PICTURES:
        return list(rows), 0
    share = max(LEAST_OF_A_CLASS, MOST_PICTURES // len(labels))
    kept = []
    for label in labels:
        mine = [row for row in rows if row[1] == label]
        step = max(1.0, len(mine) / share)
        kept += [mine[int(number * step)] for number in range(min(share, len(mine)))]
    return kept, len(rows) - len(kept)
