"""``camera-demo``: classify a live camera, a clip or a folder, and show the answers."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Final

import typer

from edge.console import run as run_command

__all__ = ["app", "main", "prepare_opencv"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_TIMEOUTS: Final = {"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1"}
"""Seconds a camera's read may block. OpenCV waits 10, which would hold up the end of the program."""
_SILENCE: Final = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
"""What OpenCV's readers complain of is said again by this program, on one line."""
_CLEAR_LINE: Final = "\r\x1b[K"


def main() -> None:
    """The console script ``camera-demo``."""
    prepare_opencv(is_silent="--debug" not in sys.argv)
    run_command(app, "camera-demo")


def prepare_opencv(*, is_silent: bool) -> None:
    """Set OpenCV's environment variables that the user did not. Call it before anything imports ``cv2``."""
    for name, value in {**_TIMEOUTS, **(_SILENCE if is_silent else {})}.items():
        os.environ.setdefault(name, value)


@app.command(
    epilog="Examples: camera-demo    camera-demo 0 http://127.0.0.1:8000    camera-demo clip.mp4 out.mp4 json:-"
)
def camera_demo(
    input: Annotated[
        str | None,
        typer.Argument(
            help="0, /dev/video0, v4l2:///dev/video0, a video file, a folder of pictures, synthetic:640x480@30, or "
            "demo, the clip that ships. Default: the first camera, else demo.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OUTPUT]...",
            help="terminal (the default), json:-, json:FILE, a video file (out.mp4), display, http://127.0.0.1:8000.",
        ),
    ] = None,
    bundle: Annotated[str, typer.Option(help="A bundle's folder, or demo, the one that ships.")] = "demo",
    fps: Annotated[
        float | None, typer.Option(help="Choose the best variant that keeps this rate. Default: 30.")
    ] = None,
    budget_ms: Annotated[float | None, typer.Option(help="The same as milliseconds a frame.")] = None,
    variant: Annotated[str | None, typer.Option(help="Use this variant, whatever the budget: 0.50_160.")] = None,
    backend: Annotated[str, typer.Option(help="auto, or a backend's name.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the board's cores, at most 4.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Open no window: leave display out.")] = False,
    top_k: Annotated[int, typer.Option("--top-k", "--topk", min=1, help="Classes in each answer.")] = 5,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Probability below which a class is left out.")] = 0,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many answers.")] = None,
    pace: Annotated[
        bool | None,
        typer.Option(
            "--pace/--no-pace",
            help="Play a file at its own rate and drop what is late, or take every frame. Files take every frame by "
            "default, synthetic: keeps its rate.",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Play a file again and again.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and OpenCV's own messages.")] = False,
) -> None:
    """Classify a live camera, a clip or a folder, and show the answers.

    Ends at the end of the input, with Ctrl-C or SIGTERM, and then says on stderr what it saw.
    """
    _log_to_stderr()
    # Imported here because they import cv2, which reads its environment once.
    from camera_demo.session import Settings, run
    from camera_demo.stop import stop_on_signals

    settings = Settings(
        input=input,
        outputs=tuple(outputs or ()),
        bundle=bundle,
        fps=fps,
        budget_ms=budget_ms,
        variant=variant,
        backend=backend,
        threads=threads,
        headless=headless,
        top_k=top_k,
        threshold=threshold,
        max_frames=max_frames,
        pace=pace,
        loop=loop,
    )
    with stop_on_signals() as stop:
        try:
            run(settings, stop, announce=_announce)
        except KeyboardInterrupt:
            _announce("Stopped before the first frame.")


def _announce(line: str) -> None:
    typer.echo(line, err=True)


def _log_to_stderr() -> None:
    """Warnings of this package as plain lines, on a line of their own where the terminal's line is kept up to date."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter((_CLEAR_LINE if sys.stderr.isatty() else "") + "%(message)s"))
    logger = logging.getLogger("camera_demo")
    logger.handlers = [handler]
