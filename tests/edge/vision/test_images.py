"""Pictures on disk, whole and damaged."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from edge.errors import ImageError
from edge.vision import images
from edge.vision.images import hidden_folders, image_files, is_picture, read_image, unread_pictures
from edge.vision.picture_size import picture_size
from tests.conftest import draw

NOT_AN_IMAGE = "is not one that OpenCV can read: expected JPEG, PNG, BMP, WebP, AVIF, PNM or TIFF."


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


def test_folders_of_pictures_that_are_passed_over_for_their_names_are_counted(tmp_path: Path) -> None:
    for name in (".net/1.jpg", ".net/2.PNG", ".net/._1.jpg", ".net/notes.txt", ".git/config", ".taught/one/golden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert hidden_folders(tmp_path) == {".net": 2}
    assert image_files(tmp_path) == []
    assert hidden_folders(tmp_path / "none") == {}


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif"])
def test_every_ending_of_a_kind_that_is_read_counts(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"picture{suffix}", encoded(".avif" if suffix == ".avif" else ".jpg"))
    assert [path.suffix for path in image_files(tmp_path)] == [suffix]
    assert read_image(image_files(tmp_path)[0]).shape == (96, 128, 3)


@pytest.mark.parametrize(("suffix", "keep"), [(".bmp", 900), (".webp", 900), (".ppm", 900), (".tiff", 900)])
def test_other_formats_cut_short_are_refused(tmp_path: Path, suffix: str, keep: int) -> None:
    path = write(tmp_path / f"cut{suffix}", encoded(suffix)[:keep])
    assert complaint(path) == f"Image {path} {NOT_AN_IMAGE}"


@pytest.mark.parametrize("place", [20, 0.5])
def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path, place: float) -> None:
    data = bytearray(encoded(".png"))
    data[int(place if place > 1 else place * len(data))] ^= 0xFF
    path = write(tmp_path / "damaged.png", bytes(data))
    assert complaint(path) == f"Image {path} {NOT_AN_IMAGE}"


def test_a_jpeg_of_markers_only_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "hollow.jpg", b"\xff\xd8\xff\xd9")
    assert complaint(path) == f"Image {path} {NOT_AN_IMAGE}"


def test_a_text_file_called_jpg_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "letter.jpg", b"Dear friend, this is no picture.")
    assert complaint(path) == f"Image {path} {NOT_AN_IMAGE}"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.png", b"")
    assert complaint(path) == f"Image {path} is empty: the file has no bytes."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    assert complaint(path) == f"Cannot read image {path}: no such file or directory."


def test_a_path_that_no_file_can_have_is_refused() -> None:
    assert complaint(Path("a\0b.png")) == "Cannot read image 'a\\x00b.png': embedded null byte."


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_a_file_holds_is_a_picture_without_a_file(tmp_path: Path, suffix: str) -> None:
    data = encoded(suffix)
    assert (read_image(data) == read_image(write(tmp_path / f"picture{suffix}", data))).all()
    with pytest.raises(ImageError, match=r"^Image in memory is cut short: its end marker is missing"):
        read_image(data[:-40])
    with pytest.raises(ImageError) as refused:
        read_image(b"\0" * 300)
    assert str(refused.value) == f"Image in memory {NOT_AN_IMAGE}"


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"Cannot read image {tmp_path}: is a directory."


def test_a_picture_that_claims_to_be_gigantic_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path = write(tmp_path / "bomb.png", data)
    assert complaint(path) == (f"Image {path} has 100000x100000 pixels: expected at most 100 million. Shrink it first.")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08meta"


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "renamed.jpg", "none"])
def test_a_heic_is_called_so_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, HEIC)
    assert is_picture(path)
    assert complaint(path).startswith(
        f"Image {path} is a HEIC picture, which OpenCV cannot read. Save it as JPEG: heif-"
    )


def test_a_file_is_a_picture_by_its_ending_or_by_what_it_holds(tmp_path: Path) -> None:
    assert is_picture(tmp_path / "not there.PNG")
    assert is_picture(write(tmp_path / "saved by a browser", encoded(".jpg")))
    assert is_picture(write(tmp_path / "avif.mp4", encoded(".avif")))
    assert not is_picture(write(tmp_path / "frames.mjpeg", encoded(".jpg")))
    assert not is_picture(write(tmp_path / "film.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2avc1"))
    assert not is_picture(tmp_path / "not there") and not is_picture(tmp_path)


@pytest.mark.parametrize("size", [(96, 128), (1, 1), (301, 77)])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".pgm", ".tiff", ".jpg", ".webp", ".avif"])
def test_a_header_says_how_large_the_picture_is(suffix: str, size: tuple[int, int]) -> None:
    frame = draw(0, size)
    data = bytes(cv2.imencode(suffix, frame[..., 0] if suffix == ".pgm" else frame)[1])
    assert picture_size(data) == (size[1], size[0])
    for end in range(0, min(len(data), 600), 7):
        picture_size(data[:end])  # cut short, it raises nothing


def test_other_forms_of_webp_say_it_too(tmp_path: Path) -> None:
    picture = Image.fromarray(draw(0, (30, 50)))
    for options in ({"lossless": True}, {"quality": 50}, {"quality": 50, "exif": Image.Exif().tobytes() + b"x"}):
        picture.save(tmp_path / "p.webp", **options)
        assert picture_size((tmp_path / "p.webp").read_bytes()) == (50, 30)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tiff", ".webp", ".avif"])
def test_a_picture_with_too_many_pixels_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 5000)
    path = write(tmp_path / f"large{suffix}", encoded(suffix))
    assert "has 128x96 pixels: expected at most" in complaint(path)


def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "large.jpg", encoded(".jpg"))
    progressive = tmp_path / "progressive.jpg"
    cv2.imwrite(str(progressive), draw(0), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    for most, shape in ((12_288, (96, 128)), (12_287, (48, 64)), (3_000, (24, 32)), (200, (12, 16))):
        monkeypatch.setattr(images, "MOST_PIXELS", most)
        assert read_image(path).shape[:2] == shape
    assert "has 128x96 pixels" in complaint(progressive)
    monkeypatch.setattr(images, "MOST_PIXELS", 100)
    assert "has 128x96 pixels" in complaint(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "huge.jpg", b"\xff\xd8")
    with path.open("r+b") as file:
        file.truncate(20_000_000_000)
    assert complaint(path) == f"Image {path} has 20.0 GB: expected at most 1 GB."


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".avif"])
def test_pictures_of_every_kind_are_turned_as_they_say(tmp_path: Path, suffix: str, orientation: int) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    corners = np.zeros((48, 80, 3), np.uint8)
    corners[:24, :40], corners[:24, 40:], corners[24:, :40] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(corners).save(tmp_path / f"p{suffix}", exif=exif, quality=95)
    with Image.open(tmp_path / f"p{suffix}") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    found = read_image(tmp_path / f"p{suffix}")[..., ::-1]
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 8


@settings(deadline=None)
@given(data=st.binary(max_size=300), start=st.integers(0, 400))
def test_damage_in_an_avif_ends_in_a_picture_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int
) -> None:
    whole = encoded(".avif")
    path = tmp_path_factory.getbasetemp() / "damaged.avif"
    path.write_bytes(whole[:start] + data + whole[start + len(data) :])
    try:
        assert read_image(path).ndim == 3
    except ImageError as error:
        assert str(path) in str(error)


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
