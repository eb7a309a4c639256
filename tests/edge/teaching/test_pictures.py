"""What is learned from: class folders and tables, bursts, and what is refused or told."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import pytest

from edge.errors import TeachingError
from edge.teaching import pictures
from edge.teaching.pictures import find_pictures
from tests.conftest import draw


def put(folder: Path, *names: str, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), draw(seed + number, (16, 16)))


def write_table(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows(rows)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    put(tmp_path / "p/red_cup", "a-1.png", "a-2.png", "b-1.png", seed=0)
    put(tmp_path / "p/fox", "x1.png", "x2.png", "x3.png", seed=10)
    put(tmp_path / "p/nothing", "n.png", "m.png", "o.png", seed=20)
    return tmp_path / "p"


def refusal(place: Path) -> str:
    with pytest.raises(TeachingError) as error:
        find_pictures(place)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_are_classes_and_names_tell_bursts(photos: Path) -> None:
    found = find_pictures(photos)
    assert found.labels == ("fox", "nothing", "red cup")
    by_name = dict(zip((path.name for path in found.paths), found.bursts, strict=True))
    assert by_name["a-1.png"] == by_name["a-2.png"] != by_name["b-1.png"]
    assert len({by_name[name] for name in ("x1.png", "x2.png", "x3.png")}) == 3  # the only burst: each by itself
    assert found.notes == ("by their names all pictures are one burst, so the figures may be too good: 'fox'",)


def test_a_table_beside_the_pictures_goes_first(photos: Path) -> None:
    names = [str(path.relative_to(photos)) for path in sorted(photos.rglob("*.png"))]
    write_table(photos / "labels.csv", [(name, "ab"[n % 2]) for n, name in enumerate(names)] + [("gone.png", "a")])
    found = find_pictures(photos)
    assert found.labels == ("a", "b") and len(found.paths) == 9
    assert any("1 pictures of labels.csv are missing, the first: " in note for note in found.notes)
    write_table(photos / "labels.csv", [(name, "ab"[n % 2] if n > 2 else "") for n, name in enumerate(names)])
    assert "3 pictures have no label, and are passed over" in find_pictures(photos / "labels.csv").notes


def one_class(photos: Path) -> None:
    for name in ("fox", "nothing"):
        for path in (photos / name).iterdir():
            path.unlink()


def lone_picture(photos: Path) -> None:
    (photos / "fox/x1.png").unlink()
    (photos / "fox/x2.png").unlink()


def shared_picture(photos: Path) -> None:
    (photos / "nothing/copy.png").write_bytes((photos / "fox/x1.png").read_bytes())


def no_folders(photos: Path) -> None:
    for folder in list(photos.iterdir()):
        for path in folder.iterdir():
            path.rename(photos / f"{folder.name}-{path.name}")
        folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (one_class, "There is one class only, 'red cup': expected two or more. Add a class for everything else"),
        (lone_picture, "Class 'fox' has 1 picture: expected 3 or more, 2 at the very least."),
        (shared_picture, "are the same picture: expected it in one class."),
        (no_folders, "has no pictures in folders: expected a folder for each class"),
        (lambda p: (p / "fox").rename(p / ("x" * 200)), "cannot be the name of a class: expected printable text"),
        (lambda p: (p / "fox").rename(p / "tab\there"), "'tab\\there' cannot be the name of a class"),
        (lambda p: p.rename(p.parent / "moved"), "Cannot read"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(photos: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(photos)
    assert says in refusal(photos)


def test_odd_names_are_names(photos: Path) -> None:
    (photos / "fox").rename(photos / "a.b 🦊")
    put(photos / "x", "1.png", "2.png", seed=50)
    names = [str(path.relative_to(photos)) for path in sorted((photos / "x").iterdir())]
    rows = [(name, "AC/DC") for name in names]
    rows += [(str(path.relative_to(photos)), "no") for path in (photos / "nothing").iterdir()]
    assert "a.b 🦊" in find_pictures(photos).labels
    write_table(photos / "labels.csv", rows)
    assert find_pictures(photos).labels == ("AC/DC", "no")


def test_copies_within_a_class_count_once(photos: Path) -> None:
    (photos / "fox/again.png").write_bytes((photos / "fox/x1.png").read_bytes())
    found = find_pictures(photos)
    assert len(found.paths) == 9 and "1 pictures are there more than once, and count once" in found.notes


def test_a_picture_that_the_table_names_twice_counts_once(photos: Path) -> None:
    names = [str(path.relative_to(photos)) for path in sorted(photos.rglob("*.png"))]
    rows = [(name, "ab"[n % 2]) for n, name in enumerate(names)]
    write_table(photos / "labels.csv", [*rows, rows[0]])
    found = find_pictures(photos)
    assert len(set(found.paths)) == len(found.paths) == 9
    assert "1 pictures are there more than once, and count once" in found.notes


def test_too_few_is_told_and_the_empty_scene_is_offered(photos: Path) -> None:
    (photos / "fox/x1.png").unlink()
    (photos / "nothing").rename(photos / "hat")
    (photos / "fox/phone.heic").write_bytes(b"x")
    notes = find_pictures(photos).notes
    assert "too few pictures of 'fox' (2): 3 are the least to begin with" in notes
    assert any(note.startswith("no class for the empty scene: pictures of it as 'nothing'") for note in notes)
    assert "passed over: 1 .heic; save them as JPEG to use them" in notes


def test_a_class_whose_name_begins_with_a_dot_is_told(photos: Path) -> None:
    (photos / "fox").rename(photos / ".net")
    note = "passed over, as their names begin with a dot: name them otherwise to use them: .net (3)"
    found = find_pictures(photos)
    assert note in found.notes and len(found.labels) == 2
    for folder in [path for path in photos.iterdir() if path.name not in (".net", "nothing")]:
        folder.rename(photos / f".{folder.name}")
    with pytest.raises(TeachingError, match=r"There is one class only, 'nothing'; passed over, as .*: \.\w+ \(3\)"):
        find_pictures(photos)
    (photos / "nothing").rename(photos / ".nothing")
    with pytest.raises(
        TeachingError, match=r"has no pictures in folders; passed over, as their names begin with a dot"
    ):
        find_pictures(photos)


def test_of_very_many_some_of_each_class_are_used(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PICTURES", 6)
    found = find_pictures(photos)
    assert len(found.paths) == 6 and sorted(set(found.classes)) == [0, 1, 2]
    assert any(note.startswith("6 of 9 pictures are used: for more, train") for note in found.notes)


def test_unreadable_ones_are_left_out_unless_too_many(photos: Path) -> None:
    found = find_pictures(photos)
    left = found.without({0}, ["a note"])
    assert len(left.paths) == 8 and left.notes[-1] == "a note" and left.paths == found.paths[1:]
    with pytest.raises(TeachingError, match="Class 'fox' has no picture that can be read"):
        found.without({0, 1, 2}, [])
