"""Pictures on disk, whole and damaged."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ImageError
from edge.vision.images import image_files, read_image, unread_pictures
from tests.conftest import draw

NOT_AN_IMAGE = "is not an image that OpenCV can read: expected JPEG, PNG, BMP, WebP, PNM or TIFF."


def encoded(suffix: str, seed: int = 0) -> bytes:
    return bytes(cv2.imencode(suffix, draw(seed))[1])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ImageError) as refused:
        read_image(path)
    return str(refused.value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tiff"])
def test_lossless_pictures_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    frame = read_image(write(tmp_path / f"picture{suffix}", encoded(suffix)))
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, draw(0))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_pictures_come_back_with_their_size(tmp_path: Path, suffix: str) -> None:
    assert read_image(write(tmp_path / f"picture{suffix}", encoded(suffix))).shape == (96, 128, 3)


def test_a_single_pixel_is_a_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dot.png"), np.array([[[1, 2, 3]]], np.uint8))
    assert read_image(tmp_path / "dot.png").tolist() == [[[1, 2, 3]]]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.array([[0, 128], [200, 255]], np.uint8))
    frame = read_image(tmp_path / "grey.png")
    assert frame.shape == (2, 2, 3)
    np.testing.assert_array_equal(frame[..., 0], [[0, 128], [200, 255]])
    assert (frame == frame[..., :1]).all()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((2, 2, 3), 0x80FF, np.uint16))
    frame = read_image(tmp_path / "deep.png")
    assert frame.dtype == np.uint8
    assert set(frame.flat) <= {0x80, 0x81}


def test_transparency_is_dropped(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "glass.png"), np.full((2, 2, 4), (10, 20, 30, 0), np.uint8))
    assert read_image(tmp_path / "glass.png").tolist() == [[[10, 20, 30]] * 2] * 2


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    turned = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    payload = b"Exif\0\0" + turned
    jpeg = encoded(".jpg")
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]
    assert read_image(write(tmp_path / "turned.jpg", data)).shape == (128, 96, 3)


def test_a_picture_may_have_another_ending_than_its_format(tmp_path: Path) -> None:
    assert read_image(write(tmp_path / "really_png.jpg", encoded(".png"))).shape == (96, 128, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_picture_cut_short_is_refused_not_filled_with_grey(tmp_path: Path, suffix: str, share: float) -> None:
    data = encoded(suffix)
    path = write(tmp_path / f"cut{suffix}", data[: int(len(data) * share)])
    assert complaint(path) == f"Image {path} is cut short: its end marker is missing. Copy the file again."


def test_a_jpeg_with_a_thumbnail_is_cut_short_although_the_thumbnail_ends(tmp_path: Path) -> None:
    jpeg, thumbnail = encoded(".jpg"), encoded(".jpg", 1)
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + jpeg[2:]
    assert read_image(write(tmp_path / "whole.jpg", data)).shape == (96, 128, 3)
    assert "is cut short" in complaint(write(tmp_path / "cut.jpg", data[:-500]))


@pytest.mark.parametrize("seed", range(10))
def test_a_motion_photo_is_whole_whatever_its_video_holds(tmp_path: Path, seed: int) -> None:
    jpeg = encoded(".jpg")
    video = b"MotionPhoto_Data" + random.Random(seed).randbytes(500_000)
    path = write(tmp_path / "photo.jpg", jpeg + video)
    assert np.array_equal(read_image(path), read_image(write(tmp_path / "still.jpg", jpeg)))
    assert "is cut short" in complaint(write(tmp_path / "cut.jpg", jpeg[: len(jpeg) // 2]))


@pytest.mark.parametrize("flags", [[cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]])
def test_a_jpegs_end_is_found_in_every_coding(tmp_path: Path, flags: list[int]) -> None:
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8), flags)[1].tobytes()
    assert read_image(write(tmp_path / "whole.jpg", data + b"\xff\xda more")).shape == (64, 96, 3)
    assert "is cut short" in complaint(write(tmp_path / "cut.jpg", data[:-3]))


def test_kinds_that_are_not_read_are_counted(tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.heic", "c.gif", "d.jpg", "e.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert unread_pictures(tmp_path) == "1 .gif, 2 .heic"
    assert [path.name for path in image_files(tmp_path)] == ["d.jpg"]


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif"])
def test_every_ending_of_a_kind_that_is_read_counts(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"picture{suffix}", encoded(".avif" if suffix == ".avif" else ".jpg"))
    assert [path.suffix for path in image_files(tmp_path)] == [suffix]
    assert read_image(image_files(tmp_path)[0]).shape == (96, 128, 3)


@pytest.mark.parametrize(("suffix", "keep"), [(".bmp", 900), (".webp", 900), (".ppm", 900), (".tiff", 900)])
def test_other_formats_cut_short_are_refused(tmp_path: Path, suffix: str, keep: int) -> None:
    path = write(tmp_path / f"cut{suffix}", encoded(suffix)[:keep])
    assert complaint(path) == f"{path} {NOT_AN_IMAGE}"


@pytest.mark.parametrize("place", [20, 0.5])
def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path, place: float) -> None:
    data = bytearray(encoded(".png"))
    data[int(place if place > 1 else place * len(data))] ^= 0xFF
    path = write(tmp_path / "damaged.png", bytes(data))
    assert complaint(path) == f"{path} {NOT_AN_IMAGE}"


def test_a_jpeg_of_markers_only_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "hollow.jpg", b"\xff\xd8\xff\xd9")
    assert complaint(path) == f"{path} {NOT_AN_IMAGE}"


def test_a_text_file_called_jpg_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "letter.jpg", b"Dear friend, this is no picture.")
    assert complaint(path) == f"{path} {NOT_AN_IMAGE}"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.png", b"")
    assert complaint(path) == f"Image {path} is empty: the file has no bytes."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    assert complaint(path) == f"Cannot read image {path}: no such file or directory."


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"Cannot read image {tmp_path}: is a directory."


def test_a_picture_that_claims_to_be_gigantic_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path = write(tmp_path / "bomb.png", data)
    assert complaint(path) == (f"Image {path} has 100000x100000 pixels: expected at most 100 million. Shrink it first.")


def test_pictures_are_found_in_order_and_below(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "deep/c.webp", "notes.txt", "d.jpg.part", ".hidden.png", ".thumbs/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert image_files(tmp_path) == [tmp_path / name for name in ("a.png", "b.JPG", "deep/c.webp")]


def test_a_hidden_folder_above_hides_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".cache"
    folder.mkdir()
    (folder / "a.png").touch()
    assert image_files(folder) == [folder / "a.png"]


def test_a_folder_without_pictures_gives_none(tmp_path: Path) -> None:
    assert image_files(tmp_path) == []


@pytest.mark.parametrize("name", ["no", "file.png"])
def test_only_folders_can_be_looked_through(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.png").touch()
    with pytest.raises(ImageError) as refused:
        image_files(tmp_path / name)
    assert str(refused.value) == f"There is no folder {tmp_path / name}: expected a folder with pictures in it."
