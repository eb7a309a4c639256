"""Sources that break off and come back, and the status that says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.source_status import SourceState, SourceStatus
from camera_demo.sources.base import Source
from camera_demo.sources.camera_identity import CameraTrail, identity_of
from camera_demo.sources.flipped import turn
from camera_demo.sources.prefetch import latest_frames
from camera_demo.sources.reconnecting import ReconnectingSource
from camera_demo.stop import Stop


class Flaky:
    """A source that gives some frames and then breaks off."""

    name, is_live, rate_hz, dropped = "flaky", True, 30.0, 0

    def __init__(self, frames: list[CapturedFrame]) -> None:
        self._frames, self.closed = frames, 0

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        yield from self._frames
        raise SourceError("Camera flaky was unplugged.")

    def close(self) -> None:
        self.closed += 1


class Quick(Stop):
    """A stop whose sleeps take no time, and which is requested in the end."""

    def __init__(self, sleeps: int) -> None:
        super().__init__()
        self.slept_s: list[float] = []
        self._sleeps = sleeps

    def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        if len(self.slept_s) >= self._sleeps:
            self.request()


def test_frames_run_on_across_interruptions(
    source_status: SourceStatus, make_frame: Callable[..., CapturedFrame], caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Flaky] = []

    def reopen(stop: Stop) -> Source:
        made.append(Flaky([make_frame(n) for n in range(3)]))
        return made[-1]

    stop = Quick(3)
    source = ReconnectingSource(reopen(stop), reopen, source_status, name="flaky")
    frames = list(source.frames(stop))
    assert [frame.index for frame in frames] == list(range(9))
    assert [each.closed for each in made] == [1, 1, 1]
    assert source_status.now.losses == 3
    assert stop.slept_s == [0.25, 0.5, 1.0], "the pauses grow while it does not last"
    told = [line.split(" after ")[0] for line in caplog.messages]
    assert told == ["Camera flaky was unplugged. Trying again until it is back.", "flaky is back"] * 2 + told[:1]


def test_a_reason_is_told_once_however_often_it_is_met(
    source_status: SourceStatus, caplog: pytest.LogCaptureFixture
) -> None:
    reasons = iter(["absent"] * 4 + ["busy"] * 3)

    def reopen(stop: Stop) -> Source:
        raise SourceError(f"The camera is {next(reasons)}.")

    stop = Quick(7)
    assert list(ReconnectingSource(None, reopen, source_status, name="cam").frames(stop)) == []
    assert [line.split(".")[0] for line in caplog.messages] == ["The camera is absent", "The camera is busy"]
    assert stop.slept_s == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert (source_status.now.state, source_status.now.losses) == ("lost", 0), "it was never there to be lost"


def test_a_hundred_interruptions_leave_no_thread_behind(
    source_status: SourceStatus, make_frame: Callable[..., CapturedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("camera_demo.sources.reconnecting._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("camera_demo.sources.reconnecting._LONGEST_PAUSE_S", 0.001)

    def reopen(stop: Stop) -> Source:
        return Flaky([make_frame(0)])

    before = threading.active_count()
    source = latest_frames(ReconnectingSource(None, reopen, source_status, name="flaky"))
    for _ in source.frames(Stop()):
        if source_status.now.losses > 100:
            break
    assert threading.active_count() == before + 1
    source.close()
    assert threading.active_count() == before


def test_closing_ends_the_wait_for_a_camera(source_status: SourceStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_demo.sources.reconnecting._FIRST_PAUSE_S", 600.0)
    before = threading.active_count()

    def reopen(stop: Stop) -> Source:
        raise SourceError("absent")

    source = latest_frames(ReconnectingSource(None, reopen, source_status, name="cam"))
    frames = source.frames(Stop())
    while source_status.now.state != "lost":
        assert next(frames) is None
    source.close()
    assert threading.active_count() == before


def test_the_status_calls_its_subscribers(source_status: SourceStatus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heard: list[SourceState] = []
    source_status.subscribe(heard.append)
    source_status.found("feed")
    source_status.found("feed")
    source_status.lost("feed", "unplugged.")
    source_status.lost("feed", "unplugged.")
    source_status.found("/dev/video1")
    assert [status.state for status in heard] == ["live", "lost", "live"]
    assert caplog.messages[-1].endswith(", as /dev/video1")
    assert caplog.records[-1].event == "source_found"  # type: ignore[attr-defined]


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., None]:
    """Plugs a camera into a machine whose files lie in ``tmp_path``: of USB, with a serial number or none."""

    def plug(node: str, name: str, *, port: str, serial: str | None = None, index: int = 0) -> None:
        usb = tmp_path / "sys/devices" / port
        (usb / f"{port}:1.0").mkdir(parents=True, exist_ok=True)
        for field, value in (("idVendor", "046d"), ("idProduct", "0825"), ("serial", serial)):
            if value is not None:
                (usb / field).write_text(f"{value}\n")
        entry = tmp_path / "sys/class/video4linux" / node
        entry.mkdir(parents=True)
        (entry / "name").write_text(f"{name}\n")
        (entry / "index").write_text(f"{index}\n")
        (entry / "device").symlink_to(usb / f"{port}:1.0")
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / node).touch()

    return plug


def unplug(root: Path, node: str) -> None:
    (root / "dev" / node).unlink()
    entry = root / "sys/class/video4linux" / node
    for file in entry.iterdir():
        file.unlink()
    entry.rmdir()


def test_a_camera_is_found_under_another_number(tmp_path: Path, machine: Callable[..., None]) -> None:
    machine("video0", "C270", port="1-1", serial="AB12")
    machine("video1", "C270", port="1-1", serial="AB12", index=1)
    trail = CameraTrail(str(tmp_path / "dev/video0"), root=tmp_path)
    trail.seen(trail.node())
    unplug(tmp_path, "video0")
    assert trail.node() == str(tmp_path / "dev/video0"), "nowhere to be found: its second node is not it"
    machine("video3", "C270", port="1-2", serial="ZZ99")
    machine("video2", "C270", port="1-4", serial="AB12")
    assert trail.node() == str(tmp_path / "dev/video2"), "by its serial number, in another port"


def test_of_twins_without_serial_numbers_the_one_in_the_same_port_is_taken(
    tmp_path: Path, machine: Callable[..., None]
) -> None:
    machine("video0", "cheap", port="1-1")
    machine("video1", "cheap", port="1-2")
    trail = CameraTrail(str(tmp_path / "dev/video1"), root=tmp_path)
    trail.seen(trail.node())
    unplug(tmp_path, "video1")
    machine("video4", "cheap", port="1-2")
    assert trail.node() == str(tmp_path / "dev/video4")


def test_another_camera_in_its_place_is_told(
    tmp_path: Path, machine: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    machine("video0", "old", port="1-1")
    trail = CameraTrail(str(tmp_path / "dev/video0"), root=tmp_path)
    trail.seen(trail.node())
    unplug(tmp_path, "video0")
    machine("video0", "new", port="1-1")
    trail.seen(trail.node())
    assert caplog.messages == [f"{tmp_path}/dev/video0 is another camera now: new, before it was old"]


def test_a_stable_name_is_looked_up_anew_each_time(tmp_path: Path, machine: Callable[..., None]) -> None:
    machine("video0", "C270", port="1-1")
    link = tmp_path / "by-id"
    link.symlink_to(tmp_path / "dev/video0")
    trail = CameraTrail(str(link), root=tmp_path)
    trail.seen(trail.node())
    link.unlink()
    link.symlink_to(tmp_path / "dev/video7")
    assert trail.node() == str(tmp_path / "dev/video7")


def test_a_node_the_kernel_says_nothing_of_has_no_identity(tmp_path: Path) -> None:
    assert identity_of("/dev/video9", tmp_path) is None


def test_a_picture_is_turned_and_mirrored() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert (turn(image, "none") == image).all()
    assert (turn(image, "horizontal") == image[:, ::-1]).all()
    assert (turn(image, "vertical") == image[::-1]).all()
    assert (turn(image, "rotate-180") == image[::-1, ::-1]).all()
    assert (turn(image, "clockwise") == np.rot90(image, -1)).all()
    assert (turn(image, "counterclockwise") == cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)).all()
