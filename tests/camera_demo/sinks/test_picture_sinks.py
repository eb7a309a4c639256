import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_demo.collecting.collection import Collection
from camera_demo.collecting.collector import Collector
from camera_demo.errors import SinkError
from camera_demo.frames import CapturedFrame, Result
from camera_demo.run_state import RunState
from camera_demo.sinks import SinkContext, WatcherLeft
from camera_demo.sinks.display import DisplaySink, refusal
from camera_demo.sinks.video import VideoSink
from camera_demo.sinks.video import open_sink as open_video
from camera_demo.source_status import SourceStatus
from edge.errors import OutputError
from edge.vision.preprocess import Frame

CONTEXT = SinkContext(rate_hz=25.0, text=io.StringIO(), announce=print, run_state=RunState(SourceStatus("feed")))


def frames_of(path: Path) -> list[Frame]:
    video, frames = cv2.VideoCapture(str(path)), list[Frame]()
    while True:
        is_read, frame = video.read()
        if not is_read:
            video.release()
            return frames
        frames.append(np.asarray(frame, np.uint8))


@pytest.fixture
def picture(make_result: Callable[..., Result], make_grey: Callable[..., Frame]) -> Callable[..., Result]:
    """An answer with a picture of one grey level."""

    def make(index: int, level: int = 5, width: int = 64, height: int = 48) -> Result:
        return make_result(index, picture=make_grey(level, width, height))

    return make


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_video_has_each_frame_once(tmp_path: Path, picture: Callable[..., Result], ending: str) -> None:
    path = tmp_path / f"out{ending}"
    sink = open_video(str(path), CONTEXT)
    for index in range(10):
        sink.show(picture(index, level=index))
    sink.close()
    sink.close()
    assert [int(float(frame.mean()) / 25.6) for frame in frames_of(path)] == list(range(10))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_live_video_keeps_its_time(tmp_path: Path, picture: Callable[..., Result]) -> None:
    sink = open_video(str(tmp_path / "out.mp4"), CONTEXT)
    for index in (0, 5, 6, 14):
        sink.show(picture(index))
    sink.close()
    assert len(frames_of(tmp_path / "out.mp4")) == 15


def test_of_a_long_silence_only_some_seconds_are_kept(tmp_path: Path, picture: Callable[..., Result]) -> None:
    sink = VideoSink(tmp_path / "out.mp4", rate_hz=1.0)
    for position in (0, 1000, 1001):
        result = picture(25 * position)
        sink.show(result)
    sink.close()
    assert len(frames_of(tmp_path / "out.mp4")) == 1 + 10 + 1


def test_pictures_of_other_sizes_are_fitted(tmp_path: Path, picture: Callable[..., Result]) -> None:
    sink = open_video(str(tmp_path / "out.mp4"), CONTEXT)
    for index, (width, height) in enumerate([(65, 49), (200, 100), (1, 1), (64, 48)]):
        sink.show(picture(index, width=width, height=height))
    sink.close()
    assert [frame.shape for frame in frames_of(tmp_path / "out.mp4")] == [(48, 64, 3)] * 4


def test_without_a_frame_there_is_no_video(tmp_path: Path) -> None:
    open_video(str(tmp_path / "out.mp4"), CONTEXT).close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_and_nothing_half_written_stays(
    tmp_path: Path, picture: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the one before")
    sink = open_video(str(path), CONTEXT)
    free = iter([1 << 30, 1000])

    class Usage:
        def __init__(self) -> None:
            self.free = next(free)

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage())
    with pytest.raises(OutputError) as raised:
        for index in range(100):
            sink.show(picture(index))
    sink.close()
    assert str(raised.value) == (
        f"Cannot write {path}: no space left on device after 30 frames. Free some space; nothing half-written was kept."
    )
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"the one before"


@pytest.mark.parametrize("kept_bytes", [0, 300])
def test_a_video_that_came_out_damaged_is_removed(
    tmp_path: Path, picture: Callable[..., Result], kept_bytes: int
) -> None:
    class Filling:
        """A writer whose disk fills up without a word, as OpenCV's does."""

        def __init__(self, writer: cv2.VideoWriter, part: Path) -> None:
            self._writer, self._part = writer, part

        def write(self, frame: Frame) -> None:
            self._writer.write(frame)

        def release(self) -> None:
            self._writer.release()
            self._part.write_bytes(self._part.read_bytes()[:kept_bytes])

    path = tmp_path / "out.mp4"
    sink = open_video(str(path), CONTEXT)
    sink.show(picture(0))
    (part,) = tmp_path.iterdir()
    assert sink._writer is not None
    sink._writer = Filling(sink._writer, part)  # type: ignore[assignment]
    sink.show(picture(1))
    with pytest.raises(OutputError) as raised:
        sink.close()
    assert str(raised.value) == (f"Cannot write {path}: the video came out damaged, most likely the disk is full.")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_is_missing_is_an_error(
    tmp_path: Path, picture: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camera_demo.sinks.video.VIDEO_CODECS", {".mp4": "XXXX"})
    sink = open_video(str(tmp_path / "out.mp4"), CONTEXT)
    with pytest.raises(OutputError) as raised:
        sink.show(picture(0))
    sink.close()
    assert str(raised.value) == (
        f"Cannot write {tmp_path / 'out.mp4'}: this OpenCV has no encoder for it. Try another ending: .mp4."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "taken.mp4").mkdir()
    (tmp_path / "file").touch()
    expected = {
        tmp_path / "nowhere" / "o.mp4": f"there is no folder {tmp_path / 'nowhere'}. Make it first.",
        tmp_path / "taken.mp4": "it is a folder.",
        tmp_path / "file" / "o.mp4": "not a directory. Choose a folder that is yours.",
    }
    for path, reason in expected.items():
        with pytest.raises(OutputError) as raised:
            open_video(str(path), CONTEXT)
        assert str(raised.value) == f"Cannot write {path}: {reason}"


class FakeGui:
    """OpenCV's window functions."""

    def __init__(self, keys: list[int] | None = None, *, is_visible: bool = True, breaks: bool = False) -> None:
        self._keys, self._is_visible, self._breaks = iter(keys or []), is_visible, breaks
        self.shown: list[Any] = []
        self.is_closed = False

    def getWindowProperty(self, title: str, name: int) -> float:
        return float(self._is_visible)

    def imshow(self, title: str, picture: Frame) -> None:
        if self._breaks:
            raise cv2.error("no window system")
        self.shown.append(picture)

    def waitKey(self, delay_ms: int) -> int:
        return next(self._keys, -1)

    def destroyAllWindows(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_a_window_shows_pictures_until_a_key_says_no_more(picture: Callable[..., Result], key: int) -> None:
    gui = FakeGui([-1, ord("x"), key])
    sink = DisplaySink(gui)
    sink.show(picture(0))
    sink.show(picture(1))
    with pytest.raises(WatcherLeft):
        sink.show(picture(2))
    sink.close()
    assert len(gui.shown) == 3
    assert gui.is_closed


def test_the_space_bar_keeps_a_frame_where_pictures_are_collected(
    picture: Callable[..., Result], run_state: RunState, tmp_path: Path
) -> None:
    sink = DisplaySink(FakeGui([ord(" "), -1, ord(" ")]), run_state=run_state)
    sink.show(picture(0))
    run_state.collector = collector = Collector(Collection(tmp_path / "seen"))
    sink.show(picture(1))
    assert collector.asked == 0
    sink.show(picture(2))
    assert collector.asked == 1
    collector.collection.close()


def test_a_window_that_was_closed_stays_closed(picture: Callable[..., Result]) -> None:
    gui = FakeGui(is_visible=False)
    sink = DisplaySink(gui)
    sink.show(picture(0))
    with pytest.raises(WatcherLeft):
        sink.show(picture(1))
    assert len(gui.shown) == 1


def test_a_window_system_that_refuses_is_an_error(picture: Callable[..., Result]) -> None:
    with pytest.raises(SinkError, match="The display cannot show a picture: no window system"):
        DisplaySink(FakeGui(breaks=True)).show(picture(0))


def test_a_display_needs_a_screen_and_an_opencv_that_opens_windows() -> None:
    instead = "Watch in a browser: http://127.0.0.1:8000 as the output."
    assert refusal({}, "GUI:   GTK3") == (
        f"display needs a screen: neither DISPLAY nor WAYLAND_DISPLAY is set. {instead}"
    )
    assert refusal({"DISPLAY": ":0"}, "  GUI:                           NONE\n") == (
        "display needs an OpenCV that opens windows, and this one is headless: "
        f"pip uninstall opencv-python-headless, pip install opencv-python. {instead}"
    )
    assert refusal({"WAYLAND_DISPLAY": "wayland-0"}, "GUI:   QT5") is None


def test_a_picture_sink_passes_over_an_answer_without_picture(
    tmp_path: Path, make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    gui = FakeGui()
    DisplaySink(gui).show(make_result())
    sink = open_video(str(tmp_path / "out.mp4"), CONTEXT)
    sink.show(make_result())
    sink.close()
    assert gui.shown == []
