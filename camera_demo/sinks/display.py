"""A window on the screen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import cv2

from camera_demo.errors import SinkError
from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.run_state import RunState
from camera_demo.sinks.base import SinkContext, WatcherLeft
from edge.errors import opencv_reason

__all__ = ["DisplaySink", "open_sink", "refusal"]

_TITLE: Final = "camera-demo"
_QUIT_KEYS: Final = frozenset({27, ord("q")})
_KEEP_KEY: Final = ord(" ")


class DisplaySink:
    """Shows each answer in a window, until it is closed or q or Esc is pressed.

    The space bar keeps a frame, where pictures are collected.
    """

    wants_picture = True

    def __init__(self, gui: Any = cv2, *, run_state: RunState | None = None) -> None:
        """Use ``gui``'s window functions, which are OpenCV's; ``run_state`` may have a collector for the space bar."""
        self._gui, self._run_state, self._is_open = gui, run_state, False

    def show(self, result: Result) -> None:
        """Put the picture in the window.

        Raises:
            WatcherLeft: The window was closed, or q or Esc pressed.
            SinkError: The window system refused.
        """
        if result.picture is None:
            return
        try:
            is_closed = self._is_open and self._gui.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
            if is_closed:
                raise WatcherLeft
            self._gui.imshow(_TITLE, result.picture)
            self._is_open = True
            key = self._gui.waitKey(1) & 0xFF
            if key in _QUIT_KEYS:
                raise WatcherLeft
            if key == _KEEP_KEY and self._run_state is not None and self._run_state.collector is not None:
                self._run_state.collector.ask(1)
        except cv2.error as reason:
            raise SinkError(f"The display cannot show a picture: {opencv_reason(reason)}. {_INSTEAD}") from reason

    def on_event(self, event: Event) -> None:
        """Nothing: the window shows answers."""

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            self._is_open = False
            self._gui.destroyAllWindows()


_INSTEAD: Final = "Watch in a browser: http://127.0.0.1:8000 as the output."


def refusal(environment: Mapping[str, str], build_information: str) -> str | None:
    """Why no window can be opened here, or None when one can.

    Args:
        environment: The environment variables.
        build_information: What ``cv2.getBuildInformation()`` says.
    """
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return f"display needs a screen: neither DISPLAY nor WAYLAND_DISPLAY is set. {_INSTEAD}"
    if re.search(r"GUI:\s+NONE", build_information):
        return (
            "display needs an OpenCV that opens windows, and this one is headless: "
            f"pip uninstall opencv-python-headless, pip install opencv-python. {_INSTEAD}"
        )
    return None


def open_sink(place: str, context: SinkContext) -> DisplaySink:
    """Prepare a window; ``place`` is not used.

    Raises:
        SinkError: There is no screen, or OpenCV cannot open windows.
    """
    reason = refusal(os.environ, cv2.getBuildInformation())
    if reason is not None:
        raise SinkError(reason)
    return DisplaySink(run_state=context.run_state)
