import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.options import Playback
from camera_demo.source_status import SourceStatus
from camera_demo.sources import open_source
from camera_demo.sources.paced import PacedSource
from camera_demo.sources.prefetch import latest_frames
from camera_demo.sources.synthetic import SyntheticSource, opener
from camera_demo.stop import Stop
from camera_demo.uri import parse_source


class Feed:
    """A live source that gives ``levels`` as fast as it can, then breaks off or ends."""

    name, is_live, rate_hz, dropped = "feed", True, 100.0, 0

    def __init__(self, frames: list[CapturedFrame], error: Exception | None = None) -> None:
        self._frames, self._error = frames, error
        self.is_closed = False

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        yield from self._frames
        if self._error:
            raise self._error

    def close(self) -> None:
        self.is_closed = True


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_are_counted(
    make_frame: Callable[..., CapturedFrame],
) -> None:
    feed = Feed([make_frame(index) for index in range(50)])
    latest = latest_frames(feed)
    seen = []
    for frame in filter(None, latest.frames(Stop())):
        seen.append(frame.index)
        time.sleep(0.02)
    latest.close()
    assert seen[-1] == 49
    assert seen == sorted(set(seen))
    assert latest.dropped == 50 - len(seen)
    assert feed.is_closed


@pytest.mark.parametrize("error", [SourceError("unplugged"), KeyError("not foreseen")])
def test_a_break_in_the_thread_reaches_the_reader(make_frame: Callable[..., CapturedFrame], error: Exception) -> None:
    latest = latest_frames(Feed([make_frame(0)], error))
    frames = latest.frames(Stop())
    first = next(frames)
    assert first is not None and first.index == 0
    with pytest.raises(type(error)) as raised:
        next(frames)
    assert raised.value is error
    latest.close()


def test_a_reader_leaves_when_the_end_is_requested_though_no_frame_comes() -> None:
    latest, stop = latest_frames(PacedSource(SyntheticSource(16, 16, rate_hz=0.1))), Stop()
    frames = latest.frames(stop)
    next(frames)
    stop.request()
    start_s = time.monotonic()
    assert next(frames, None) is None
    latest.close()
    assert time.monotonic() - start_s < 9, "the next frame would come after ten seconds"


def test_closing_twice_or_before_the_first_frame_does_no_harm() -> None:
    latest = latest_frames(SyntheticSource(16, 16))
    latest.close()
    latest.close()


def test_a_paced_source_gives_each_frame_when_it_is_due(make_frame: Callable[..., CapturedFrame]) -> None:
    source = PacedSource(Feed([make_frame(index, position_s=index * 0.05) for index in range(4)]))
    start_s = time.monotonic()
    stamps = [frame.captured_at_s - start_s for frame in source.frames(Stop())]
    source.close()
    assert all(stamp >= 0.05 * number for number, stamp in enumerate(stamps))


def test_a_paced_source_that_is_late_does_not_wait(make_frame: Callable[..., CapturedFrame]) -> None:
    ticks = (float(10 * n) for n in count())
    feed = Feed([make_frame(index) for index in range(4)])
    source = PacedSource(feed, clock=lambda: next(ticks))
    assert len(list(source.frames(Stop()))) == 4


def test_synthetic_frames_move_and_are_always_the_same() -> None:
    source = SyntheticSource(64, 48)
    assert source.picture(3).shape == (48, 64, 3)
    assert (source.picture(3) == SyntheticSource(64, 48).picture(3)).all()
    assert (source.picture(3) != source.picture(30)).any()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("", "synthetic:640x480@30"),
        ("320x240", "synthetic:320x240@30"),
        ("@12.5", "synthetic:640x480@12.5"),
        ("1920x1080@60", "synthetic:1920x1080@60"),
    ],
)
def test_synthetic_options_may_be_left_out(options: str, name: str) -> None:
    assert opener(options, CaptureFormat())(Stop()).name == name


@pytest.mark.parametrize("options", ["5x5", "640x480@0", "9999x480", "fast", "640x480@", "@-1", "640"])
def test_synthetic_options_that_make_no_picture_are_refused(options: str) -> None:
    with pytest.raises(SourceError) as raised:
        opener(options, CaptureFormat())
    assert str(raised.value) == (
        f"'synthetic:{options}' makes no picture: expected synthetic:WIDTHxHEIGHT@RATE, e.g. synthetic:640x480@30, "
        "with sides of 16 to 4096 pixels and 0.1 to 1000 frames a second."
    )


def test_files_come_frame_by_frame_unless_paced(make_clip: Callable[..., Path], source_status: SourceStatus) -> None:
    uri = parse_source(str(make_clip([1, 2])))
    for pace, is_live in ((None, False), (False, False), (True, True)):
        source = open_source(uri, source_status, playback=Playback(pace=pace))
        assert source.is_live is is_live
        source.close()


def test_synthetic_keeps_its_rate_unless_told_otherwise(source_status: SourceStatus) -> None:
    uri = parse_source("synthetic:16x16")
    for pace, is_live in ((None, True), (False, False), (True, True)):
        source = open_source(uri, source_status, playback=Playback(pace=pace))
        assert source.is_live is is_live
        source.close()


@pytest.mark.parametrize("asked", [{"loop": True}, {"pace": False}])
def test_a_camera_can_neither_loop_nor_wait(source_status: SourceStatus, asked: dict[str, bool]) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(parse_source("/dev/video0"), source_status, playback=Playback(**asked))
    assert str(raised.value) == "/dev/video0 is a camera: repeating and pacing are for files."
