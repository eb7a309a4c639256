import errno
import os
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.sources.camera import CameraSource
from camera_demo.sources.default import default_source
from camera_demo.sources.v4l2 import camera_nodes, explain_camera, probe_node
from camera_demo.stop import Stop

MESSAGES = {
    errno.ENOENT: "There is no camera /dev/video5: there is /dev/video0, /dev/video2.",
    errno.ENODEV: "There is no camera /dev/video5: there is /dev/video0, /dev/video2.",
    errno.EACCES: (
        "Camera /dev/video5 may not be opened: permission denied. Add yourself to the video group: "
        "sudo usermod -aG video $USER and log in again."
    ),
    errno.EBUSY: (
        "Camera /dev/video5 is busy: another program uses it. Close that program; fuser -v /dev/video5 names it."
    ),
    errno.ENOTTY: ("/dev/video5 does not give pictures: v4l2-ctl --list-devices names those that do."),
    errno.EIO: "Camera /dev/video5 cannot be opened: input/output error. Unplug it and plug it in again.",
}


def refusing(number: int) -> Callable[[str], None]:
    def opener(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    return opener


@pytest.mark.parametrize(("number", "message"), MESSAGES.items())
def test_each_reason_has_its_own_words(number: int, message: str) -> None:
    nodes = ["/dev/video0", "/dev/video2"]
    assert explain_camera("/dev/video5", refusing(number), nodes=lambda: nodes) == message


def test_without_any_camera_it_says_so() -> None:
    message = explain_camera("/dev/video0", refusing(errno.ENOENT), nodes=list)
    assert message == "There is no camera /dev/video0: none is plugged in."


def test_a_camera_that_opens_but_gives_nothing_is_told_apart() -> None:
    assert explain_camera("/dev/video0", lambda path: None) == (
        "Camera /dev/video0 opens but gives no picture that OpenCV understands. Its formats: "
        "v4l2-ctl -d /dev/video0 --list-formats-ext. Unplug it and plug it in again if it worked before."
    )


def test_probing_what_is_no_camera_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"\[Errno 25\]"):
        probe_node("/dev/null")
    with pytest.raises(FileNotFoundError):
        probe_node(str(tmp_path / "video0"))


def test_nodes_are_sorted_by_number(tmp_path: Path) -> None:
    for name in ("video10", "video2", "video0", "videos", "vbi0"):
        (tmp_path / name).touch()
    assert [Path(node).name for node in camera_nodes(tmp_path)] == ["video0", "video2", "video10"]


def test_without_an_input_the_first_camera_that_opens_is_taken() -> None:
    said: list[str] = []

    def opener(path: str) -> None:
        if path != "/dev/video2":
            raise OSError(errno.EBUSY, "busy")

    uri = default_source(said.append, nodes=lambda: ["/dev/video0", "/dev/video2"], opener=opener)
    assert (uri.scheme.name, uri.location) == ("v4l2", "/dev/video2")
    assert said == ["No input named: using camera /dev/video2."]


def test_without_an_input_or_a_usb_camera_a_ribbon_camera_is_taken() -> None:
    said: list[str] = []
    uri = default_source(said.append, nodes=list, has_ribbon=lambda: True)
    assert (uri.scheme.name, uri.location, said) == ("csi", "0", ["No input named: using camera csi://0."])


def test_without_an_input_or_a_camera_the_demo_clip_is_taken() -> None:
    said: list[str] = []
    assert default_source(said.append, nodes=list).scheme.name == "demo"
    assert said == ["No input named and no usable camera: using the demo clip."]


def test_a_camera_that_cannot_be_used_is_explained_before_the_demo_clip_is_taken() -> None:
    said: list[str] = []
    uri = default_source(said.append, nodes=lambda: ["/dev/video0"], opener=refusing(errno.EACCES))
    assert uri.scheme.name == "demo"
    assert said == [
        "No input named and no usable camera: using the demo clip. Camera /dev/video0 may not be opened: permission "
        "denied. Add yourself to the video group: sudo usermod -aG video $USER and log in again."
    ]


class FakeCapture:
    """OpenCV's capture of a camera that gives ``reads`` in turn, then nothing."""

    def __init__(self, reads: list[bool], *, is_open: bool = True) -> None:
        self._reads, self._is_open = iter(reads), is_open
        self.properties: dict[int, float] = {cv2.CAP_PROP_FPS: 25.0}
        self.refused: dict[int, float] = {}
        self.is_released = False

    def isOpened(self) -> bool:
        return self._is_open

    def set(self, name: int, value: float) -> bool:
        self.properties[name] = self.refused.get(name, value)
        return True

    def get(self, name: int) -> float:
        return self.properties.get(name, 0.0)

    def read(self) -> tuple[bool, Any]:
        is_read = next(self._reads, False)
        return is_read, np.zeros((2, 2, 3), np.uint8) if is_read else None

    def release(self) -> None:
        self.is_released = True


def camera_on(capture: FakeCapture, path: Path, ticks: Iterator[float]) -> CameraSource:
    def opener(name: str, reader: int) -> Any:
        assert reader == cv2.CAP_V4L2
        return capture

    return CameraSource(str(path), capture=opener, clock=lambda: next(ticks))


def test_a_camera_is_asked_for_mjpg_and_gives_frames(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    capture = FakeCapture([True, True, False, True])
    camera = camera_on(capture, tmp_path / "video0", (float(n) for n in count()))
    assert capture.properties[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert camera.rate_hz == 25.0
    frames = camera.frames(Stop())
    assert [next(frames).index, next(frames).index] == [0, 1]
    camera.close()
    assert capture.is_released


def test_an_unplugged_camera_ends_the_stream(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    camera = camera_on(FakeCapture([True, True]), node, (float(n) for n in count()))
    frames = camera.frames(Stop())
    next(frames)
    node.unlink()
    with pytest.raises(SourceError) as raised:
        next(frames)
    assert str(raised.value) == f"Camera {node} was unplugged after 1 frames. Plug it in again."


def test_a_camera_whose_reads_wait_in_vain_is_frozen(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    camera = camera_on(FakeCapture([True]), node, (1.0 * n for n in count()))
    with pytest.raises(SourceError) as raised:
        next(camera.frames(Stop()))
    assert str(raised.value) == f"Camera {node} is frozen: no frame for 4.0 s, after 0 frames."


def test_a_camera_whose_reads_fail_at_once_refuses_to_go_on(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    camera = camera_on(FakeCapture([True, False, False, True]), node, (0.001 * n for n in count()))
    frames = camera.frames(Stop())
    assert next(frames).index == 0, "two failures are borne"
    with pytest.raises(SourceError) as raised:
        next(frames)
    assert str(raised.value) == f"Camera {node} refuses to go on after 1 frames (input/output error)."


@pytest.mark.parametrize(("stamp_s", "expected_s"), [(999.9, 999.9), (0.0, 1000.0), (1000.5, 1000.0), (7.0, 1000.0)])
def test_a_frame_is_stamped_by_the_kernel_where_it_says_when(tmp_path: Path, stamp_s: float, expected_s: float) -> None:
    (tmp_path / "video0").touch()
    capture = FakeCapture([True, True])
    capture.properties[cv2.CAP_PROP_POS_MSEC] = 1e3 * stamp_s
    camera = camera_on(capture, tmp_path / "video0", repeat(1000.0))
    assert next(camera.frames(Stop())).captured_at_s == pytest.approx(expected_s)


def test_what_a_camera_gives_instead_of_what_was_asked_is_said(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    capture = FakeCapture([True])
    capture.refused = {
        cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"YUYV")),
        cv2.CAP_PROP_FRAME_HEIGHT: 360.0,
        cv2.CAP_PROP_FPS: 15.0,
    }
    capture_format = CaptureFormat(rate_hz=30)
    camera = CameraSource(str(tmp_path / "video0"), capture_format, capture=lambda *_: capture, clock=lambda: 0.0)  # type: ignore
    assert camera.departure == (
        f"Camera {tmp_path / 'video0'} gives 640x360 instead of 640x480, YUYV instead of MJPG, 15 fps instead of 30"
    )


def test_a_camera_that_never_gives_a_picture_is_explained(tmp_path: Path) -> None:
    capture = FakeCapture([])
    with pytest.raises(SourceError, match="There is no camera"):
        camera_on(capture, tmp_path / "video0", (4.0 * n for n in count()))
    assert capture.is_released


def test_a_camera_that_does_not_open_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no camera"):
        camera_on(FakeCapture([], is_open=False), tmp_path / "video0", iter([]))
