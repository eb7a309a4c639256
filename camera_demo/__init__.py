"""Live classification: sources, answers, overlay and sinks.

>>> import camera_demo
>>> for answer in camera_demo.answers("0", bundle="demo", fps=30):
...     print(answer.best, answer.variant)

Each name is loaded when it is first used.
"""

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from camera_demo.capture_format import CaptureFormat
    from camera_demo.errors import ConfigError, SinkError, SourceError
    from camera_demo.events import Event, Span, Steady
    from camera_demo.frames import CapturedFrame, Result
    from camera_demo.live import Answers, answers
    from camera_demo.options import ClassifyOptions, Playback
    from camera_demo.overlay import draw
    from camera_demo.region import Region

    __version__: str

__all__ = [
    "Answers",
    "CaptureFormat",
    "CapturedFrame",
    "ClassifyOptions",
    "ConfigError",
    "Event",
    "Playback",
    "Region",
    "Result",
    "SinkError",
    "SourceError",
    "Span",
    "Steady",
    "answers",
    "draw",
]

_MODULES = {
    "capture_format": ("CaptureFormat",),
    "errors": ("ConfigError", "SinkError", "SourceError"),
    "events": ("Event", "Span", "Steady"),
    "frames": ("CapturedFrame", "Result"),
    "live": ("Answers", "answers"),
    "options": ("ClassifyOptions", "Playback"),
    "overlay": ("draw",),
    "region": ("Region",),
}
"""The names in each module."""

if not TYPE_CHECKING:  # type checkers see the imports above, and report other names

    def __getattr__(name: str) -> object:
        from camera_demo.opencv import prepare_opencv
        from edge.lazy import load

        if name in __all__:
            prepare_opencv(is_silent=False)  # before cv2 is imported, which reads its settings once
        globals()[name] = value = load("camera_demo", name, _MODULES)
        return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})
