"""Ribbon cameras: picamera2 by a stand-in, a Jetson's pipeline by real GStreamer with a test picture for the camera."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.sources.csi import argus_elements, open_csi, opener
from camera_demo.sources.gstreamer import ChildPipeline
from camera_demo.sources.picamera import PiCameraSource, has_ribbon_camera
from camera_demo.stop import Stop
from edge.board.device import Device

PI = Device(board="Raspberry Pi 5 Model B Rev 1.0")
JETSON = Device(board="NVIDIA Jetson Orin Nano", l4t="36.4.3")


class FakeRequest:
    def __init__(self, number: int, log: list[str]) -> None:
        self._number, self._log = number, log

    def make_array(self, name: str) -> Any:
        assert name == "main"
        return np.full((48, 64, 3), self._number, np.uint8)

    def get_metadata(self) -> dict[str, int]:
        taken_s = time.clock_gettime(time.CLOCK_BOOTTIME) - 0.05
        return {"SensorTimestamp": int(1e9 * taken_s)} if self._number else {}

    def release(self) -> None:
        self._log.append("released")


class FakePicamera2:
    """The part of picamera2 that is used, with two cameras; the second is busy."""

    def __init__(self, number: int) -> None:
        if number == 1:
            raise RuntimeError("Failed to acquire camera: Device or resource busy\nmore")
        self.log: list[str] = []
        self._count, self.is_frozen, self.is_broken = 0, False, self.breaks_at_once
        FakePicamera2.last = self

    last: Any = None
    breaks_at_once = False

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Model": "imx708"}, {"Model": "ov5647"}]

    def create_video_configuration(self, **configuration: Any) -> Any:
        return configuration

    def configure(self, configuration: Any) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.log.append("start")

    def capture_request(self, wait: bool) -> Any:
        assert wait is False
        self._count += 1
        request = FakeRequest(self._count, self.log)

        def get_result(timeout: float) -> FakeRequest:
            if self.is_frozen:
                raise TimeoutError
            if self.is_broken:
                raise RuntimeError("Camera frontend has timed out!")
            return request

        return SimpleNamespace(get_result=get_result)

    def stop(self) -> None:
        self.log.append("stop")

    def close(self) -> None:
        self.log.append("close")


PICAMERA2 = SimpleNamespace(Picamera2=FakePicamera2)


def test_a_pi_s_camera_gives_frames_stamped_by_its_sensor() -> None:
    source = open_csi(
        0, CaptureFormat(width=64, height=48, rate_hz=25), Stop(), board=lambda: PI, picamera2=lambda: PICAMERA2
    )
    camera = FakePicamera2.last
    assert camera.configuration["main"] == {"format": "RGB888", "size": (64, 48)}
    assert camera.configuration["controls"] == {"FrameRate": 25}
    frames = source.frames(Stop())
    first, start_s = next(frames), time.monotonic()
    second, end_s = next(frames), time.monotonic()
    assert first is not None and second is not None
    assert (first.index, second.index) == (0, 1)
    assert start_s - 0.1 < second.captured_at_s < end_s - 0.05
    source.close()
    source.close()
    assert camera.log == ["start", "released", "released", "released", "stop", "close"]


def test_a_pi_s_camera_that_freezes_breaks_off() -> None:
    source = PiCameraSource(0, CaptureFormat(), picamera2=PICAMERA2)
    frames = source.frames(Stop())
    next(frames)
    FakePicamera2.last.is_frozen = True
    with pytest.raises(SourceError, match=r"Camera csi://0 is frozen: no frame for 2 s, after 1 frames\."):
        next(frames)
    source.close()


def test_a_pi_s_camera_that_breaks_off_says_why() -> None:
    source = PiCameraSource(0, CaptureFormat(), picamera2=PICAMERA2)
    FakePicamera2.last.is_broken = True
    with pytest.raises(SourceError, match=r"Camera csi://0 broke off \(Camera frontend has timed out!\)\."):
        next(source.frames(Stop()))
    source.close()


def test_a_pi_s_camera_that_breaks_off_before_its_first_picture_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePicamera2, "breaks_at_once", True)
    with pytest.raises(SourceError, match=r"csi://0 cannot be opened \(Camera frontend has timed out!\)"):
        PiCameraSource(0, CaptureFormat(), picamera2=PICAMERA2)
    assert FakePicamera2.last.log == ["start", "stop", "close"]


def test_whether_there_is_a_ribbon_camera_is_known() -> None:
    assert has_ribbon_camera(lambda: PICAMERA2)
    assert not has_ribbon_camera(lambda: None)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (1, r"Camera csi://1 cannot be opened \(Failed to acquire camera: Device or resource busy\): another program"),
        (7, r"There is no camera csi://7: there is csi://0 \(imx708\), csi://1 \(ov5647\)\."),
    ],
)
def test_a_pi_s_camera_that_cannot_be_opened_is_explained(number: int, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        PiCameraSource(number, CaptureFormat(), picamera2=PICAMERA2)


@pytest.mark.parametrize(
    ("board", "told"),
    [
        (PI, "csi://0 needs picamera2: sudo apt-get install python3-picamera2, then ./install.sh again"),
        (Device(board="HP Elite"), "csi://0 is a ribbon camera of a Raspberry Pi or a Jetson, and this is HP Elite."),
        (Device(), "csi://0 is a ribbon camera of a Raspberry Pi or a Jetson, and this is neither."),
    ],
)
def test_a_board_without_such_cameras_says_so(board: Device, told: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_csi(0, CaptureFormat(), Stop(), board=lambda: board, picamera2=lambda: None)
    assert str(raised.value).startswith(told)


def test_a_jetson_without_gstreamer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match=r"csi://1 needs gst-launch-1.0: sudo apt-get install gstreamer1.0-tools\."):
        open_csi(1, CaptureFormat(), Stop(), board=lambda: JETSON)


def test_only_numbers_name_a_ribbon_camera() -> None:
    with pytest.raises(SourceError, match="'csi://left' names no camera"):
        opener("left", CaptureFormat())


def test_a_jetson_s_pipeline_asks_for_number_rate_and_size() -> None:
    elements = argus_elements(2, CaptureFormat(width=1280, height=720, rate_hz=29.97))
    assert elements == (
        "nvarguscamerasrc sensor-id=2 ! video/x-raw(memory:NVMM),framerate=29970/1000 ! "
        "nvvidconv ! video/x-raw,format=BGRx,width=1280,height=720 ! videoconvert"
    )


needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None,
    reason="GStreamer is not installed: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base",
)


def picture_of(width: int, height: int, buffers: int = -1) -> str:
    return (
        f"videotestsrc is-live=true num-buffers={buffers} "
        "pattern=solid-color foreground-color=0xff204080 ! "
        f"video/x-raw,format=BGRx,width={width},height={height},framerate=30/1 ! videoconvert"
    )


@needs_gstreamer
@pytest.mark.parametrize(("width", "height"), [(64, 48), (66, 50), (65, 49)])
def test_a_real_pipeline_gives_pictures_in_opencv_s_order(width: int, height: int) -> None:
    source = ChildPipeline("csi://0", picture_of(width, height), CaptureFormat(width=width, height=height))
    frames = source.frames(Stop())
    frame = [next(frames) for _ in range(5)][-1]
    source.close()
    assert (frame.index, frame.image.shape) == (4, (height, width, 3))
    assert np.abs(frame.image.reshape(-1, 3) - np.array([0x80, 0x40, 0x20])).max() <= 2, "blue, green, red"


@needs_gstreamer
def test_a_real_pipeline_that_ends_breaks_off() -> None:
    source = ChildPipeline("csi://0", picture_of(64, 48, buffers=3), CaptureFormat(width=64, height=48))
    with pytest.raises(SourceError, match="csi://0 broke off after 3 frames: GStreamer says nothing"):
        list(source.frames(Stop()))
    source.close()


@needs_gstreamer
def test_a_real_pipeline_that_cannot_be_is_explained_in_gstreamer_s_words() -> None:
    with pytest.raises(SourceError, match=r'csi://0 gives no picture: .*no element "nvarguscamerasrc"'):
        ChildPipeline("csi://0", argus_elements(0, CaptureFormat()), CaptureFormat())


@pytest.fixture
def stubborn(tmp_path: Path) -> Callable[[str], list[str]]:
    """A stand-in for ``gst-launch-1.0`` that runs some Python with the pipe's number as ``fd``."""

    def make(code: str) -> list[str]:
        script = tmp_path / "stubborn.py"
        find = "import os, re, signal, sys, time\nfd = int(re.search(r'fdsink fd=(\\d+)', ' '.join(sys.argv))[1])\n"
        script.write_text(find + code)
        return [sys.executable, str(script)]

    return make


def test_a_pipeline_that_hangs_breaks_off_and_is_ended(stubborn: Callable[[str], list[str]]) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.write(fd, b'x' * 64 * 48 * 3)\ntime.sleep(60)\n"
    ticks = iter(range(10_000))
    source = ChildPipeline(
        "csi://0", "none", CaptureFormat(width=64, height=48), program=stubborn(code), clock=lambda: next(ticks) / 5
    )
    with pytest.raises(SourceError, match="broke off after 1 frames"):
        list(source.frames(Stop()))
    start_s = time.monotonic()
    source.close()
    assert time.monotonic() - start_s < 5
    assert source._child.poll() is not None


def test_what_a_driver_prints_does_not_disturb_the_pictures(stubborn: Callable[[str], list[str]]) -> None:
    code = "print('GST_ARGUS: Creating', flush=True)\nos.write(fd, bytes([7]) * 64 * 48 * 3)\ntime.sleep(9)"
    source = ChildPipeline("csi://0", "none", CaptureFormat(width=64, height=48), program=stubborn(code))
    assert (next(source.frames(Stop())).image == 7).all()
    source.close()


def test_waiting_for_the_first_picture_ends_when_asked_to(stubborn: Callable[[str], list[str]]) -> None:
    stop = Stop()
    stop.request()
    with pytest.raises(SourceError, match="gives no picture"):
        ChildPipeline("csi://0", "none", CaptureFormat(), stop=stop, program=stubborn("time.sleep(60)"))
