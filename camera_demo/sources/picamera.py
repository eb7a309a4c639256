"""A Raspberry Pi's ribbon camera, through picamera2."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NoPictureInTime  # before Python 3.11 not the builtin one
from typing import Any, Final

import numpy as np

from camera_demo.capture_format import CaptureFormat
from camera_demo.errors import SourceError
from camera_demo.frames import CapturedFrame
from camera_demo.stop import Stop
from edge.vision.preprocess import Frame

__all__ = ["PiCameraSource", "has_ribbon_camera", "load_picamera2"]

_FORM: Final = "RGB888"
"""libcamera's name for 24 bits whose first byte in memory is blue: BGR to NumPy and OpenCV."""
_BUFFERS: Final = 4
_BROKEN: Final = (RuntimeError, IndexError)
"""What picamera2 raises; libcamera's own errors are RuntimeErrors."""
_FROZEN_S: Final = 2.0
_FIRST_FRAME_S: Final = 5.0


class PiCameraSource:
    """An opened ribbon camera. Reads block for up to two seconds."""

    is_live = True

    def __init__(self, number: int, capture_format: CaptureFormat, *, picamera2: Any) -> None:
        """Open a camera and wait for its first picture.

        Args:
            number: Which of the board's cameras, from 0.
            capture_format: The size and rate to ask for.
            picamera2: The module, see :func:`load_picamera2`.

        Raises:
            SourceError: There is no such camera, another program has it, or it gives no picture.
        """
        self.name, self.dropped, self.rate_hz = f"csi://{number}", 0, capture_format.rate_hz
        known = picamera2.Picamera2.global_camera_info()
        if number >= len(known):
            raise SourceError(_absent(number, known))
        try:
            self._camera = picamera2.Picamera2(number)
            self._camera.configure(self._camera.create_video_configuration(**_configuration(capture_format)))
            self._camera.start()
            first = self._read(_FIRST_FRAME_S)
        except _BROKEN as reason:
            self.close()
            raise SourceError(
                f"Camera csi://{number} cannot be opened ({_first_line(reason)}): another program uses it, or its "
                "ribbon is loose. rpicam-hello tells which."
            ) from reason
        if first is None:
            self.close()
            raise SourceError(f"Camera csi://{number} gives no picture. See to its ribbon, and try rpicam-hello.")

    def frames(self, stop: Stop) -> Iterator[CapturedFrame]:
        """Every frame, stamped with the sensor's time.

        Raises:
            SourceError: The camera broke off, or gave nothing for two seconds.
        """
        index, start_s = 0, time.monotonic()
        while not stop.is_requested:
            try:
                taken = self._read(_FROZEN_S)
            except _BROKEN as reason:
                raise SourceError(f"Camera {self.name} broke off ({_first_line(reason)}).") from reason
            if taken is None:
                raise SourceError(f"Camera {self.name} is frozen: no frame for {_FROZEN_S:g} s, after {index} frames.")
            image, stamp_s = taken
            yield CapturedFrame(image=image, index=index, captured_at_s=stamp_s, position_s=time.monotonic() - start_s)
            index += 1

    def close(self) -> None:
        """Give the camera back. A second call does nothing."""
        camera, self._camera = getattr(self, "_camera", None), None
        if camera is not None:
            camera.stop()
            camera.close()

    def _read(self, patience_s: float) -> tuple[Frame, float] | None:
        try:
            request = self._camera.capture_request(wait=False).get_result(timeout=patience_s)
        except (NoPictureInTime, TimeoutError):
            return None
        try:
            image = np.asarray(request.make_array("main"), np.uint8)
            stamp_ns = request.get_metadata().get("SensorTimestamp")
        finally:
            request.release()
        now_s = time.monotonic()
        if stamp_ns is None:
            return image, now_s
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - stamp_ns / 1e9
        return image, now_s - max(0.0, age_s)


def load_picamera2() -> Any | None:
    """The module, which comes with Raspberry Pi OS and not from PyPI; None where it is missing or broken."""
    try:
        return importlib.import_module("picamera2")
    except (ImportError, OSError):
        return None


def has_ribbon_camera(load: Callable[[], Any | None] = load_picamera2) -> bool:
    """Whether picamera2 is here and knows of a camera."""
    module = load()
    return module is not None and bool(module.Picamera2.global_camera_info())


def _configuration(capture_format: CaptureFormat) -> dict[str, Any]:
    controls = {"FrameRate": capture_format.rate_hz} if capture_format.rate_hz is not None else {}
    main = {"format": _FORM, "size": (capture_format.width, capture_format.height)}
    return {"main": main, "controls": controls, "buffer_count": _BUFFERS}


def _absent(number: int, known: list[Any]) -> str:
    there = ", ".join(f"csi://{n} ({camera.get('Model', 'unknown')})" for n, camera in enumerate(known))
    return f"There is no camera csi://{number}: {f'there is {there}' if there else 'no ribbon camera is plugged in'}."


def _first_line(reason: BaseException) -> str:
    return str(reason).strip().partition("\n")[0] or type(reason).__name__
