from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.data.image_sets import find_pictures, read_pictures, split
from convert.errors import CalibrationError
from edge.vision.preprocess import Preprocessing
from tests.conftest import draw


def names(count: int, pattern: str) -> list[Path]:
    return [Path("set") / pattern.format(n, n // 3, n % 3) for n in range(count)]


def test_a_folder_gives_its_pictures_and_nothing_else(pictures: Path) -> None:
    found = find_pictures(pictures)
    assert len(found) == 24
    assert all(path.suffix == ".png" for path in found)


@pytest.mark.parametrize("content", [{}, {"notes.txt": "no picture"}])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CalibrationError) as error:
        find_pictures(tmp_path)
    assert str(error.value) == f"{tmp_path} has no pictures: expected JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF files."


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError) as error:
        find_pictures(tmp_path / "none")
    assert str(error.value) == f"There is no folder {tmp_path / 'none'}: expected a folder with pictures in it."


@pytest.mark.parametrize("count", [2, 3, 10, 99])
def test_the_sides_share_nothing_and_lose_nothing(count: int) -> None:
    paths = names(count, "{0:03}x.jpg")
    calibration, held_out = split(paths)
    assert sorted(calibration + held_out) == paths
    assert abs(len(calibration) - len(held_out)) <= 1


def test_pictures_of_one_object_stay_together() -> None:
    calibration, held_out = split(names(90, "object{1}_{2}.jpg"))
    objects = [{path.stem.rpartition("_")[0] for path in side} for side in (calibration, held_out)]
    assert objects[0].isdisjoint(objects[1])
    assert len(calibration) == 45


def test_one_long_series_is_still_split() -> None:
    calibration, held_out = split(names(10, "IMG_{0:04}.jpg"))
    assert len(calibration) == len(held_out) == 5


def test_the_split_does_not_depend_on_where_the_folder_lies() -> None:
    here, there = (split([root / path for path in names(20, "{0}.jpg")]) for root in (Path("/a"), Path("/b/c")))
    assert [path.name for path in here[0]] == [path.name for path in there[0]]


def test_another_seed_is_another_split_and_each_is_the_same_every_time() -> None:
    photos = names(20, "{0}x.jpg")
    assert split(photos, seed=1) == split(photos, seed=1) != split(photos, seed=2)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_refused(count: int) -> None:
    with pytest.raises(CalibrationError, match=rf"^{count} picture is too few: expected at least 2"):
        split(names(count, "{0}.jpg"))


def test_of_a_large_set_only_some_are_taken_from_all_over() -> None:
    calibration, held_out = split(names(6000, "{0:04}x.jpg"))
    assert (len(calibration), len(held_out)) == (256, 2000)
    assert any(path.stem < "1000" for path in held_out) and any(path.stem > "5000" for path in held_out)


def test_unreadable_pictures_are_passed_over_with_their_reason(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), draw(1))
    (tmp_path / "b.jpg").write_bytes(b"no jpeg")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-40])
    read = read_pictures(find_pictures(tmp_path), Preprocessing(), [32, 64])
    assert [path.name for path in read.paths] == ["a.png"]
    assert (read.pixels[32].shape, read.pixels[64].shape) == ((1, 32, 32, 3), (1, 64, 64, 3))
    assert [text.split(" ")[1] for text in read.unreadable] == [str(tmp_path / name) for name in ("b.jpg", "c.png")]


def test_pictures_of_kinds_that_are_not_read_are_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.heic", "2.HEIC", "3.gif"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CalibrationError, match=r"has no pictures that can be read, only 1 \.gif, 2 \.heic: expected"):
        find_pictures(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), draw(1))
    assert find_pictures(tmp_path) == [tmp_path / "a.png"]
    assert caplog.messages == [f"Passed over in {tmp_path}: 1 .gif, 2 .heic. Save them as JPEG to use them."]


def test_a_folder_of_unreadable_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(CalibrationError) as error:
        read_pictures(find_pictures(tmp_path), Preprocessing(), [32])
    expected = f"None of 1 pictures can be read. The first: Image {tmp_path / 'a.jpg'} is empty: the file has no bytes."
    assert str(error.value) == expected


def test_grey_deep_and_tiny_pictures_are_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), draw(1)[:, :, 0])
    cv2.imwrite(str(tmp_path / "deep.png"), draw(2).astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "tiny.png"), np.full((1, 1, 3), 200, np.uint8))
    read = read_pictures(find_pictures(tmp_path), Preprocessing(), [32])
    assert len(read.paths) == 3
    assert (read.pixels[32][2] == 200).all()
