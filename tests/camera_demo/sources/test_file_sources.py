import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.options import Playback
from camera_demo.source_status import SourceStatus
from camera_demo.sources import Source
from camera_demo.sources import open_source as open_reported
from camera_demo.sources.clip import ClipSource
from camera_demo.sources.clip import opener as clip_opener
from camera_demo.sources.demo import DEMO_CLIP
from camera_demo.sources.image_folder import opener as pictures_opener
from camera_demo.stop import Stop
from camera_demo.uri import Uri, parse_source
from camera_demo.video_files import is_cut_short
from edge.errors import ImageError
from edge.vision.preprocess import Frame


def open_clip(place: str) -> Source:
    return clip_opener(place, CaptureFormat())(Stop())


def open_pictures(place: str) -> Source:
    return pictures_opener(place, CaptureFormat())(Stop())


def open_source(uri: Uri, *, loop: bool = False) -> Source:
    return open_reported(uri, SourceStatus("file"), playback=Playback(loop=loop))


def levels_of(source: Source, count: int = 10_000) -> list[int]:
    """The grey level of each frame, of ``count`` at most."""
    levels = []
    for frame in filter(None, source.frames(Stop())):
        levels.append(int(float(frame.image.mean()) / 25.6))
        if len(levels) == count:
            break
    source.close()
    return levels


@pytest.mark.parametrize(("name", "codec"), [("c.mp4", "mp4v"), ("c.avi", "MJPG"), ("c.mkv", "mp4v")])
def test_a_clip_gives_every_frame(make_clip: Callable[..., Path], name: str, codec: str) -> None:
    levels = [0, 3, 3, 7, 9] * 3
    source = open_clip(str(make_clip(levels, name, codec)))
    assert (source.is_live, source.rate_hz) == (False, 25.0)
    assert levels_of(source) == levels


def test_a_clip_s_frames_stand_where_its_rate_puts_them(make_clip: Callable[..., Path]) -> None:
    source = ClipSource(make_clip([1] * 10), clock=lambda: 5.0)
    frames = list(source.frames(Stop()))
    source.close()
    assert [frame.index for frame in frames] == list(range(10))
    assert frames[5].position_s == pytest.approx(0.2)
    assert frames[5].captured_at_s == 5.0


def test_a_clip_ends_when_asked_to(make_clip: Callable[..., Path]) -> None:
    source, stop = ClipSource(make_clip([1] * 10)), Stop()
    for frame in source.frames(stop):
        if frame.index == 2:
            stop.request()
    source.close()
    assert frame.index == 2


def test_bad_clips_are_each_told_apart(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    whole = make_clip([1] * 30).read_bytes()
    bad = {
        "missing.mp4": (None, "Cannot read video {}: no such file or directory."),
        "empty.mp4": (b"", "Video {} is empty: the file has no bytes."),
        "text.mp4": (b"hello\n", "{} is a text file: expected a video file."),
        "noise.mp4": (
            bytes(range(256)) * 80,
            "{} cannot be opened as a video: it is damaged, cut short or of an unknown format.",
        ),
        "cut.mp4": (
            whole[: len(whole) // 2],
            "{} cannot be opened as a video: it is damaged, cut short or of an unknown format.",
        ),
    }
    for name, (content, message) in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError) as raised:
            open_clip(str(tmp_path / name))
        assert str(raised.value) == message.format(tmp_path / name)


def test_a_clip_that_breaks_off_gives_what_it_has_and_then_says_so(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    whole = make_clip([1, 9] * 25, "whole.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    source, count = open_clip(str(cut)), 0
    with pytest.raises(SourceError) as raised:
        for _ in source.frames(Stop()):
            count += 1
    source.close()
    assert 5 < count < 45
    assert str(raised.value) == (
        f"Video {cut} breaks off after {count / 25:.1f} s of 2.0 s ({count} frames): it is damaged or cut short. "
        "Copy it again."
    )


@pytest.mark.parametrize(
    "name", [b"caf\xe9.mp4", b"2026-11-25T10:30:00.mp4", b"cam:1/a.mp4", b"d\xe9/a.mp4", b"100%d.mp4"]
)
def test_a_clip_is_opened_whatever_its_name(tmp_path: Path, make_clip: Callable[..., Path], name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    make_clip([1, 2, 3]).rename(path)
    source = open_clip(str(path))
    assert len(list(source.frames(Stop()))) == 3
    source.close()
    source.name.encode()  # can be printed and sent


@pytest.mark.parametrize("name", ["whole.mkv", "whole.avi", "whole.mp4", "whole.flv"])
def test_a_whole_container_is_not_taken_for_a_cut_one(
    tmp_path: Path, make_clip: Callable[..., Path], name: str
) -> None:
    whole = make_clip([1, 9] * 25, name, codec="FLV1" if name.endswith("flv") else "mp4v")
    assert not is_cut_short(whole)
    whole.write_bytes(whole.read_bytes()[:-2000])
    assert is_cut_short(whole)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg to make the clips")
class TestClipsOfOtherPrograms:
    def made(self, path: Path, *arguments: str) -> Path:
        subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments, str(path)], check=True, timeout=60)
        return path

    def test_a_trimmed_clip_and_one_with_longer_sound_are_whole(self, tmp_path: Path) -> None:
        picture = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=3")
        long = self.made(tmp_path / "long.mp4", *picture, "-c:v", "mpeg4", "-g", "250")
        trimmed = self.made(tmp_path / "trimmed.mp4", "-ss", "2", "-i", str(long), "-c", "copy")
        sound = self.made(tmp_path / "sound.mkv", *picture, "-f", "lavfi", "-i", "sine=d=10", "-c:v", "mpeg4")
        for path in (trimmed, sound):
            source = open_clip(str(path))
            assert len(list(source.frames(Stop()))) > 20
            source.close()

    def test_frames_stand_at_their_own_times(self, tmp_path: Path) -> None:
        gap = "select='lt(t,1)+gte(t,9)'"
        made = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=10", "-vf", gap, "-fps_mode", "vfr", "-c:v", "mpeg4")
        source = open_clip(str(self.made(tmp_path / "gap.mp4", *made)))
        times_s = [frame.position_s for frame in source.frames(Stop()) if frame]
        source.close()
        assert times_s[9] == pytest.approx(0.9, abs=0.11)
        assert times_s[10] == pytest.approx(9.0, abs=0.11)


def test_a_folder_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        open_clip(str(tmp_path))
    assert str(raised.value) == f"{tmp_path} is not a file: expected a video."


def test_a_folder_gives_its_pictures_in_order_and_names_them(tmp_path: Path, make_grey: Callable[..., Frame]) -> None:
    for name, level in (("b.png", 2), ("a.jpg", 7), ("c.bmp", 5)):
        cv2.imwrite(str(tmp_path / name), make_grey(level))
    source = open_pictures(str(tmp_path))
    assert [(Path(f.file or "").name, f.index) for f in filter(None, source.frames(Stop()))] == [
        ("a.jpg", 0),
        ("b.png", 1),
        ("c.bmp", 2),
    ]
    assert levels_of(source) == [7, 2, 5]


def test_pictures_of_any_kind_become_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 4), 40_000, np.uint16))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((1, 1), 128, np.uint8))
    frames = list(filter(None, open_pictures(str(tmp_path)).frames(Stop())))
    assert [(f.image.shape, str(f.image.dtype)) for f in frames] == [((4, 4, 3), "uint8"), ((1, 1, 3), "uint8")]


def test_unreadable_pictures_are_skipped_warned_of_and_counted(
    tmp_path: Path, make_grey: Callable[..., Frame], caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), make_grey(4))
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "c.jpg").write_text("no picture")
    with caplog.at_level(logging.WARNING):
        frames = list(filter(None, open_pictures(str(tmp_path)).frames(Stop())))
    assert [frame.index for frame in frames] == [0]
    assert caplog.messages[0] == f"Skipped a picture. Image {tmp_path / 'a.png'} is empty: the file has no bytes."
    assert caplog.messages[-1] == "2 of 3 pictures could not be read"


def test_a_folder_without_a_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(SourceError) as raised:
        list(open_pictures(str(tmp_path)).frames(Stop()))
    assert str(raised.value) == (
        f"None of the 1 pictures in {tmp_path} can be read. The first: Image {tmp_path / 'a.png'} is empty: "
        "the file has no bytes."
    )


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        open_pictures(str(tmp_path))
    assert str(raised.value) == (
        f"Folder {tmp_path} has no pictures: expected files ending in "
        ".avif, .bmp, .jfif, .jpe, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp."
    )


def test_a_pattern_without_a_picture_is_an_error(tmp_path: Path) -> None:
    expected = ".avif, .bmp, .jfif, .jpe, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp."
    for found, what in ((0, "no file matches"), (1, "none of the 1 files and folders that match is a picture")):
        with pytest.raises(SourceError) as raised:
            open_pictures(f"{tmp_path}/*")
        assert str(raised.value) == f"{tmp_path}/* has no pictures: {what}. Expected {expected}", found
        (tmp_path / "notes.txt").touch()


def test_one_picture_is_a_source_too(tmp_path: Path, make_grey: Callable[..., Frame]) -> None:
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), make_grey(6))
    assert levels_of(open_source(parse_source(str(path)))) == [6]
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="is empty"):
        open_source(parse_source(str(path)))


def test_a_missing_demo_clip_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("camera_demo.sources.demo.files", lambda package: tmp_path)
    with pytest.raises(SourceError) as raised:
        open_source(parse_source("demo"))
    assert str(raised.value) == f"The demo clip {tmp_path / DEMO_CLIP} is missing: install mobilenet-edge again."


def test_the_demo_is_the_clip_that_ships(monkeypatch: pytest.MonkeyPatch, make_clip: Callable[..., Path]) -> None:
    clip = make_clip([2, 4])
    (clip.parent / "clips").mkdir()
    clip.rename(clip.parent / DEMO_CLIP)
    monkeypatch.setattr("camera_demo.sources.demo.files", lambda package: clip.parent)
    assert levels_of(open_source(parse_source("demo"))) == [2, 4]


def test_a_looped_clip_runs_on(make_clip: Callable[..., Path]) -> None:
    source = open_source(parse_source(str(make_clip([1, 5]))), loop=True)
    frames = []
    for frame in filter(None, source.frames(Stop())):
        frames.append(frame)
        if len(frames) == 5:
            break
    source.close()
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [round(25 * frame.position_s) for frame in frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["song.mp3", "song.flac", "song.wav"])
def test_a_sound_file_is_called_so(tmp_path: Path, name: str) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")
    cv2.imwrite(str(tmp_path / "cover.jpg"), np.zeros((64, 64, 3), np.uint8))
    cover = [] if name.endswith("wav") else ["-i", "cover.jpg", "-map", "0", "-map", "1", "-c:v", "copy"]
    attached = [] if name.endswith("wav") else ["-disposition:v", "attached_pic"]
    command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=d=2", *cover, *attached, name]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    with pytest.raises(SourceError, match=r"song.* is an audio file .*: expected a video"):
        ClipSource(tmp_path / name)
