"""A ribbon camera, ``csi://0``: through picamera2 on a Raspberry Pi, through GStreamer on a Jetson."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.sources.base import Source
from camera_demo.sources.gstreamer import ChildPipeline, OpenCVPipeline, has_gstreamer
from camera_demo.sources.picamera import PiCameraSource, load_picamera2
from camera_demo.stop import Stop
from edge.board.device import Device, describe

__all__ = ["argus_elements", "open_csi", "opener"]

_USUAL_HZ: Final = 30.0


def opener(place: str, capture_format: CaptureFormat) -> Callable[[Stop], Source]:
    """A function that opens the camera of number ``place``.

    It raises :class:`SourceError` when there is none, or this board has no such cameras.

    Raises:
        SourceError: ``place`` is not a number.
    """
    if not (place or "0").isdecimal():
        raise SourceError(f"'csi://{place}' names no camera: expected csi:// and a number, e.g. csi://0.")
    return lambda stop: open_csi(int(place or "0"), capture_format, stop)


def open_csi(
    number: int,
    capture_format: CaptureFormat,
    stop: Stop,
    *,
    board: Callable[[], Device] = describe,
    picamera2: Callable[[], Any | None] = load_picamera2,
) -> Source:
    """Open a ribbon camera the way the board has.

    Raises:
        SourceError: There is none, or this board has no such cameras.
    """
    device = board()
    if device.is_jetson:
        elements = argus_elements(number, capture_format)
        if has_gstreamer():
            return OpenCVPipeline(f"csi://{number}", elements, capture_format)
        return ChildPipeline(f"csi://{number}", elements, capture_format, stop=stop)
    module = picamera2()
    if module is not None:
        return PiCameraSource(number, capture_format, picamera2=module)
    if device.is_raspberry_pi:
        raise SourceError(
            f"csi://{number} needs picamera2: sudo apt-get install python3-picamera2, then ./install.sh again: it lets "
            "the environment see it."
        )
    raise SourceError(
        f"csi://{number} is a ribbon camera of a Raspberry Pi or a Jetson, and this is {device.board or 'neither'}. "
        "A USB camera is 0 or /dev/video0."
    )


def argus_elements(number: int, capture_format: CaptureFormat) -> str:
    """The pipeline of a Jetson's ribbon camera up to raw pictures: captured and scaled by its own hardware."""
    rate = round(1000 * (capture_format.rate_hz or _USUAL_HZ))
    return (
        f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),framerate={rate}/1000 ! "
        f"nvvidconv ! video/x-raw,format=BGRx,width={capture_format.width},"
        f"height={capture_format.height} ! videoconvert"
    )
