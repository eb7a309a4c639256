from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.data.dataset import DataSet, Labelled, read_dataset, write_splits
from convert.errors import TrainingError
from convert.training.image_dataset import KEPT_SIDE, Augmentation, Photos, read_labelled
from tests.conftest import draw


def put(folder: Path, *names: str, side: int = 48) -> None:
    """Write pictures, each another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), draw(zlib.crc32(f"{folder}/{name}".encode()), (side, side)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    data = tmp_path / "photos"
    for label in ("cat", "hot_dog"):
        put(data / label, *(f"{label}-{chr(97 + n)}.png" for n in range(10)))
    return data


def refusal(data: Path) -> str:
    with pytest.raises(TrainingError) as error:
        read_dataset(data)
    return str(error.value)


def test_each_folder_is_a_class_and_a_part_of_each_is_held_back(photos: Path) -> None:
    found = read_dataset(photos, 0.2)
    assert found.labels == ("cat", "hot dog")
    for label in (0, 1):
        assert [sum(i.label == label for i in items) for items in (found.train, found.validation)] == [8, 2]
    assert not {i.path for i in found.train} & {i.path for i in found.validation}
    assert read_dataset(photos, 0.2) == found


def test_a_split_is_kept_and_read_again(photos: Path, tmp_path: Path) -> None:
    found, kept = read_dataset(photos), tmp_path / "out" / "splits.csv"
    kept.parent.mkdir()
    write_splits(found, kept)
    again = read_dataset(kept)
    assert again.labels == found.labels
    for name in ("train", "validation"):
        ours, theirs = ([(i.path.resolve(), i.label) for i in getattr(d, name)] for d in (found, again))
        assert ours == theirs


def test_bursts_stay_on_one_side(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        put(tmp_path / label, *(f"{label}{chr(97 + n)}_{k}.png" for n in range(5) for k in range(3)))
    found = read_dataset(tmp_path, 0.2)
    sides = [{i.path.name.split("_")[0] for i in items} for items in (found.train, found.validation)]
    assert not sides[0] & sides[1] and len(sides[1]) == 2


def test_a_split_made_by_the_user_is_obeyed(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for label in ("cat", "dog"):
            put(tmp_path / split / label, *(f"{n}.png" for n in range(count)))
    found = read_dataset(tmp_path)
    assert (len(found.train), len(found.validation)) == (6, 4)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("training", "validation", "TESTING"),
    ],
)
def test_of_three_splits_test_measures(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for split, count in zip(names, (3, 2, 4), strict=True):
        for label in ("cat", "dog"):
            put(tmp_path / split / label, *(f"{n}.png" for n in range(count)))
    found = read_dataset(tmp_path)
    assert found.labels == ("cat", "dog")
    assert (len(found.train), len(found.validation), len(found.test)) == (6, 4, 8)
    assert found.measured == found.test and all(names[2] in item.path.parts for item in found.measured)
    write_splits(found, tmp_path / "splits.csv")
    again = read_dataset(tmp_path / "splits.csv")
    assert [len(items) for items in (again.train, again.validation, again.test)] == [6, 4, 8]
    assert "8 to measure on, 4 to choose the best weights by; the classes: cat, dog" in found.summary()


def test_where_there_is_only_test_beside_train_it_measures(tmp_path: Path) -> None:
    for split, count in (("Train", 3), ("test", 2)):
        for label in ("cat", "dog"):
            put(tmp_path / split / label, *(f"{n}.png" for n in range(count)))
    found = read_dataset(tmp_path)
    assert (len(found.train), len(found.validation), found.test) == (6, 4, ())
    assert found.measured == found.validation


def test_folders_that_hold_the_same_folders_are_not_learned_as_classes(tmp_path: Path) -> None:
    for split in ("part1", "part2"):
        for label in ("cat", "dog"):
            put(tmp_path / split / label, *(f"{n}.png" for n in range(2)))
    with pytest.raises(TrainingError, match=r"holds the folders part1 and part2.*cat, dog.*: these look like splits"):
        read_dataset(tmp_path)
    put(tmp_path / "part1", *(f"{n}.png" for n in range(1)))
    put(tmp_path / "part2", *(f"{n}.png" for n in range(1)))
    assert read_dataset(tmp_path).labels == ("part1", "part2")


def test_a_table_may_leave_labels_open(photos: Path) -> None:
    rows = [f"{p.relative_to(photos)},{p.parent.name if n % 3 else ''}" for n, p in enumerate(photos.rglob("*.png"))]
    table = photos / "table.csv"
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    found = read_dataset(table)
    assert sum(item.label < 0 for item in found.train) == 7
    assert all(item.label >= 0 for item in found.validation)


def emptied(data: Path) -> None:
    (data / "dog").mkdir()


def single(data: Path) -> None:
    for path in (data / "cat").iterdir():
        path.unlink()
    (data / "cat").rmdir()


def unvalidated(data: Path) -> None:
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            put(data / split / label, "a.png")
    (data / "val" / "dog" / "a.png").rename(data / "val" / "cat" / "b.png")
    (data / "val" / "dog").rmdir()
    for label in ("cat", "hot_dog"):
        (data / label).rename(data.parent / label)


def lonely(data: Path) -> None:
    put(data / "dog", "a.png")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (emptied, "has no pictures: add some, or remove this folder of a class"),
        (single, "one class only, 'hot dog'"),
        (unvalidated, "Class 'dog' has no picture in the validation split"),
        (lonely, "Class 'dog' has no picture in the train split"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(photos: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(photos)
    assert says in refusal(photos)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,label\na.png,cat\n", "line 2: expected the columns path and label"),
        ("path,label,split\na.png,cat,someday\n", "line 2: split 'someday' is not known"),
        ('path,label,split\n\n"a.png","cat\n",train\nb.png,dog,soon\n', "line 5: split 'soon' is not known"),
        pytest.param(f'path,label\n"{"x" * 200_000}', "is no table of comma-separated values (field", id="one-field"),
        ("path,label,split\na.png,cat,train\na.png,cat,val\n", "a.png has another class or split in a line before."),
        ("path,label\na.png,cat\na.png,dog\n", "line 3: "),
        ("path,label\n", "names no class"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    assert says in refusal(table)


def test_pictures_of_kinds_that_are_not_read_are_counted_and_named(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = sorted(folder for folder in photos.iterdir())[0]
    (first / "phone.HEIC").write_bytes(b"x")
    read_dataset(photos)
    assert caplog.messages == [f"Passed over in {first}: 1 .heic. Save them as JPEG to use them."]
    (photos / "empty").mkdir()
    (photos / "empty/phone.heic").write_bytes(b"x")
    assert "empty has no pictures that can be read, only 1 .heic: add some" in refusal(photos)


def test_a_class_whose_name_begins_with_a_dot_is_told(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, *others = sorted(photos.iterdir())
    count = len(list(first.iterdir()))
    shutil.copytree(first, photos / ".net")
    assert len(read_dataset(photos).labels) == 1 + len(others)
    assert caplog.messages == [
        f"Passed over in {photos}, as their names begin with a dot: .net ({count}). Name them otherwise to use them."
    ]


def test_no_folder_and_no_class_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file or directory" in refusal(tmp_path / "nowhere")
    assert "has no folders: expected one for each class" in refusal(tmp_path)


def items_of(photos: Path) -> DataSet:
    return read_dataset(photos, 0.2)


def test_a_round_shows_every_picture_once_and_each_round_in_another_order(photos: Path) -> None:
    found = read_dataset(photos, 0.2)
    source = Photos(found.train, 2, Augmentation(strength=0.0, flips=False))
    rounds = [[source.example(16 * k + n) for n in range(16)] for k in (0, 1)]
    prints = [[frame.tobytes() for frame, _ in one] for one in rounds]
    assert sorted(prints[0]) == sorted(prints[1]) and prints[0] != prints[1]
    assert len(set(prints[0])) == 16


def test_the_same_number_is_the_same_picture_and_another_round_another_view(photos: Path) -> None:
    found = read_dataset(photos, 0.2)
    first, second = (Photos(found.train, 2, Augmentation(), seed=3) for _ in range(2))
    for number in (0, 5, 20):
        assert np.array_equal(first.example(number)[0], second.example(number)[0])
    views = {first.example(16 * k + n)[0].tobytes() for k in range(3) for n in range(16)}
    assert len(views) == 48


def test_pictures_that_cannot_be_read_are_passed_over_and_named(photos: Path) -> None:
    found = read_dataset(photos, 0.2)
    bad = [found.train[0].path, found.validation[0].path]
    for path in bad:
        path.write_bytes(b"no picture")
    source = Photos(found.train, 2, Augmentation())
    for number in range(16):
        source.example(number)
    assert len(source.unreadable) == 1 and bad[0].name in next(iter(source.unreadable))
    read, unreadable = read_labelled(found.validation, 100)
    assert len(read) == 3 and bad[1].name in unreadable[0]


def test_a_class_without_a_readable_picture_is_refused(photos: Path) -> None:
    found = read_dataset(photos, 0.2)
    for item in found.train:
        if item.label == 1:
            item.path.write_bytes(b"")
    with pytest.raises(TrainingError, match="Not one picture of class 1 can be read"):
        Photos(found.train, 2, Augmentation())


def test_large_pictures_are_kept_small(tmp_path: Path) -> None:
    put(tmp_path, "large.png", side=900)
    (frame, label), *_ = read_labelled([Labelled(tmp_path / "large.png", 1)], 5)[0]
    assert frame.shape == (KEPT_SIDE, KEPT_SIDE, 3) and label == 1


def test_small_networks_see_pictures_changed_less() -> None:
    strengths = [Augmentation.for_width(alpha, flips=True).strength for alpha in (0.25, 0.5, 1.0)]
    assert strengths == sorted(strengths) and strengths[-1] == 1
