from collections.abc import Callable
from pathlib import Path

import pytest

from camera_demo.errors import SinkError, SourceError
from camera_demo.uri import Uri, parse_sink, parse_source

INPUTS = (
    "a camera (0, /dev/video0, /dev/v4l/by-id/...), csi://0, rtsp://HOST/PATH, http://HOST:81/stream, a video file, "
    "a folder of pictures, synthetic:640x480@30 or demo"
)
OUTPUTS = (
    "terminal, json:- or json:FILE, a video file (.mp4, .mov, .mkv, .avi), display, http://127.0.0.1:8000, "
    "mqtt://HOST/TOPIC or collect:DIR"
)


@pytest.mark.parametrize(
    ("text", "scheme", "place"),
    [
        ("0", "v4l2", "/dev/video0"),
        ("007", "v4l2", "/dev/video7"),
        ("/dev/video3", "v4l2", "/dev/video3"),
        ("/dev/v4l/by-id/usb-cam", "v4l2", "/dev/v4l/by-id/usb-cam"),
        ("v4l2:///dev/video2", "v4l2", "/dev/video2"),
        ("V4L2://1", "v4l2", "/dev/video1"),
        ("synthetic:", "synthetic", ""),
        ("synthetic:640x480@30", "synthetic", "640x480@30"),
        ("demo", "demo", ""),
        ("csi://0", "csi", "0"),
        ("csi:", "csi", ""),
        ("rtsp://me:secret@cam:554/live?x=1", "rtsp", "rtsp://me:secret@cam:554/live?x=1"),
        ("http://cam:81/stream", "mjpeg", "http://cam:81/stream"),
        ("HTTPS://me:secret@cam/video?x=1", "mjpeg", "HTTPS://me:secret@cam/video?x=1"),
        ("photos/*.jpg", "pictures", "photos/*.jpg"),
    ],
)
def test_an_input_is_understood(text: str, scheme: str, place: str) -> None:
    uri = parse_source(text)
    assert (uri.scheme.name, uri.location) == (scheme, place)


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_a_file_is_a_clip_and_a_folder_or_picture_is_pictures(tmp_path: Path, prefix: str) -> None:
    for name in ("a clip.mp4", "photo.JPG", "odd:name.mp4"):
        (tmp_path / name).touch()
    found = [parse_source(f"{prefix}{tmp_path / name}") for name in ("a clip.mp4", "photo.JPG", "odd:name.mp4", "")]
    assert [uri.scheme.name for uri in found] == ["clip", "pictures", "clip", "pictures"]
    assert found[0].location == str(tmp_path / "a clip.mp4")


def test_a_picture_of_a_phone_is_no_clip_of_its_first_tile(tmp_path: Path) -> None:
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert parse_source(str(tmp_path / "IMG_0001.HEIC")).scheme.name == "pictures"


def test_a_percent_coded_file_address_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a clip.mp4").touch()
    assert parse_source(f"file://{tmp_path}/a%20clip.mp4").location == str(tmp_path / "a clip.mp4")


def test_a_name_with_a_colon_is_a_file_where_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd:name.mp4").touch()
    assert parse_source("odd:name.mp4").scheme.name == "clip"


@pytest.mark.parametrize("text", ["ftp://host", "usb:0", "nvarguscamerasrc://0", "rtp://***"])
def test_an_input_of_another_kind_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse_source(text)
    assert str(raised.value) == f"unknown input '{text}': expected {INPUTS}."


def test_a_missing_file_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(SourceError) as raised:
        parse_source("nowhere.mp4")
    assert str(raised.value) == f"There is no file or folder 'nowhere.mp4': expected {INPUTS}."


@pytest.mark.parametrize("parse", [parse_source, parse_sink])
@pytest.mark.parametrize(
    "text", ["secret@cam/live", "me:secret@cam", "192.168.1.7/secret", "cam/live?pwd=secret", "rtsp//cam/secret"]
)
def test_an_address_without_its_beginning_is_told_so_and_not_shown(parse: Callable[[str], Uri], text: str) -> None:
    with pytest.raises((SourceError, SinkError), match=r"not shown as it may be an address with a") as raised:
        parse(text)
    assert "secret" not in str(raised.value)


def test_a_pattern_that_only_looks_like_an_address_is_one(tmp_path: Path) -> None:
    (tmp_path / "a@2x.png").touch()
    assert parse_source(f"{tmp_path}/*@2x.png").scheme.name == "pictures"


@pytest.mark.parametrize("text", ["json:-", "display://0", "mqtt://host"])
def test_an_output_in_the_input_s_place_is_told_so(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse_source(text)
    assert str(raised.value) == f"{text} is an output: name the input before it, e.g. camera-demo 0 {text}."


@pytest.mark.parametrize("text", ["0", "demo", "/dev/video0", "csi://0", "synthetic:640x480@30"])
def test_an_input_in_an_output_s_place_is_told_so(text: str) -> None:
    with pytest.raises(SinkError) as raised:
        parse_sink(text)
    assert str(raised.value) == f"{text} is an input: name it first, then the outputs."


def test_a_password_is_never_shown() -> None:
    assert parse_source("rtsp://me:secret@cam/live").name == "rtsp://***@cam/***"
    assert parse_sink("mqtt://me:secret@broker/attic").name == "mqtt://***@broker/***"
    for parse, text in ((parse_source, "ftp://me:secret@h"), (parse_source, "mqtt://me:secret@h")):
        with pytest.raises(SourceError) as raised:
            parse(text)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "scheme", "place"),
    [
        ("terminal", "terminal", ""),
        ("json:-", "json", "-"),
        ("json://-", "json", "-"),
        ("json:out.jsonl", "json", "out.jsonl"),
        ("out.mp4", "video", "out.mp4"),
        ("file://out.AVI", "video", "out.AVI"),
        ("display", "display", ""),
        ("display://0", "display", "0"),
        ("http://0.0.0.0:80", "http", "0.0.0.0:80"),
        ("mqtt://me:secret@broker/attic", "mqtt", "mqtt://me:secret@broker/attic"),
        ("MQTTS://broker", "mqtt", "MQTTS://broker"),
    ],
)
def test_an_output_is_understood(text: str, scheme: str, place: str) -> None:
    uri = parse_sink(text)
    assert (uri.scheme.name, uri.location) == (scheme, place)


@pytest.mark.parametrize("text", ["rtsp://***", "https://h", "out.xyz", "out", "", "8000"])
def test_an_output_of_another_kind_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(SinkError) as raised:
        parse_sink(text)
    assert str(raised.value) == f"unknown output '{text}': expected {OUTPUTS}."


@pytest.mark.parametrize("text", ["rtsp://me:s3c/ret@cam/live", "rtsp:me:s3cret@cam", "http://cam:port/x", "https://"])
def test_an_address_that_is_not_understood_is_refused_before_anything_is_opened(text: str) -> None:
    with pytest.raises(SourceError, match=r"expected [a-z:]*//USER:PASSWORD@HOST|expected SCHEME://USER:") as raised:
        parse_source(text)
    assert "s3c" not in str(raised.value)
