"""With a real camera, where there is one: a webcam, or the cameras of a virtual machine."""

import time

import pytest

from camera_demo.errors import SourceError
from camera_demo.source_status import SourceStatus
from camera_demo.sources import Source, open_source
from camera_demo.sources.v4l2 import camera_nodes, probe_node
from camera_demo.stop import Stop
from camera_demo.uri import parse_source


def _first_camera() -> str | None:
    for node in camera_nodes():
        try:
            probe_node(node)
        except OSError:
            continue
        return node
    return None


CAMERA = _first_camera() or ""
pytestmark = pytest.mark.skipif(not CAMERA, reason="no camera: none of /dev/video* can be opened")


def opened() -> Source:
    return open_source(parse_source(CAMERA), SourceStatus(CAMERA))


def test_a_camera_gives_fresh_frames_and_lets_go_in_time() -> None:
    source = opened()
    seen = []
    for frame in filter(None, source.frames(Stop())):
        seen.append(time.monotonic() - frame.captured_at_s)
        assert frame.image.ndim == 3
        if len(seen) == 10:
            break
    start_s = time.monotonic()
    source.close()
    assert time.monotonic() - start_s < 2
    assert max(seen) < 0.5
    assert min(seen) > 0, "the kernel's time stamps, from before the frame was in memory"


def test_a_camera_that_is_in_use_is_busy() -> None:
    source = opened()
    try:
        next(filter(None, source.frames(Stop())))
        with pytest.raises(SourceError) as raised:
            opened()
    finally:
        source.close()
    assert str(raised.value).startswith(f"Camera {CAMERA} is busy: another program uses it.")
