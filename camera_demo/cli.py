"""``camera-demo``: classify a live camera, a clip or a folder, and show the answers."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from camera_demo.capture_format import CaptureFormat
from camera_demo.config import read_config, settings_of
from camera_demo.loading import ModelOptions
from camera_demo.logs import set_up_logs
from camera_demo.opencv import prepare_opencv
from camera_demo.options import ClassifyOptions
from edge.console import run as run_command
from edge.errors import EdgeError

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_log = logging.getLogger(__name__)

_CAPTURE, _CLASSIFY, _MODEL = CaptureFormat(), ClassifyOptions(), ModelOptions()
_NOT_SETTINGS: Final = ("config", "debug", "outputs")
_HAND_OVER_S: Final = 0.0005
"""How long a thread may keep the interpreter. With Python's 5 ms, a browser's request would delay the loop by more than
a small model takes."""


def main() -> None:
    """The console script ``camera-demo``."""
    prepare_opencv(is_silent="--debug" not in sys.argv)
    sys.setswitchinterval(_HAND_OVER_S)
    run_command(lambda: app, "camera-demo")


@app.command(
    epilog="Examples: camera-demo    camera-demo 0 http://127.0.0.1:8000    camera-demo clip.mp4 out.mp4 json:-"
)
def camera_demo(
    context: typer.Context,
    input: Annotated[
        str | None,
        typer.Argument(
            help="0, /dev/video0, /dev/v4l/by-id/NAME, csi://0, rtsp://HOST/PATH, a video file, a folder, "
            "'photos/*.jpg', synthetic:640x480@30, or demo, the clip that ships. Default: the first camera, else demo.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OUTPUT]...",
            help="terminal (the default), json:-, json:FILE, a video file (out.mp4), display, http://127.0.0.1:8000, "
            "mqtt://HOST/TOPIC. Several at once.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of these options; the command line takes precedence.")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help=f"A bundle's folder or name. Default: {_MODEL.bundle}, which ships.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Rate to keep by changing the variant. Default: 30.")] = None,
    budget_ms: Annotated[float | None, typer.Option(help="The same budget, in milliseconds a frame.")] = None,
    variant: Annotated[str | None, typer.Option(help="Always use this variant, e.g. 0.50_160.")] = None,
    backend: Annotated[str | None, typer.Option(help=f"A backend's name. Default: {_MODEL.backend}.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the board's cores, at most 4.")] = None,
    headless: Annotated[
        bool | None, typer.Option("--headless/--no-headless", help="Open no window: ignore the output display.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "--topk", min=1, help=f"Classes in each answer. Default: {_CLASSIFY.top_k}."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=f"Leave out classes below this probability. Default: {_CLASSIFY.threshold:g}."),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option(min=0, help=f"Average the answers over this many seconds. Default: {_CLASSIFY.smoothing:g}."),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="LEFT,TOP,RIGHT,BOTTOM",
            help="Region of interest, as fractions: 0.25,0,0.75,1.",
        ),
    ] = None,
    input_width: Annotated[int | None, typer.Option(help=f"Width to request. Default: {_CAPTURE.width}.")] = None,
    input_height: Annotated[int | None, typer.Option(help=f"Height to request. Default: {_CAPTURE.height}.")] = None,
    input_rate: Annotated[float | None, typer.Option(help="Frames a second to request.")] = None,
    input_codec: Annotated[
        str | None, typer.Option(help=f"Pixel format to request. Default: {_CAPTURE.codec}.")
    ] = None,
    input_flip: Annotated[
        str | None,
        typer.Option(
            help="Rotate or mirror: none (default), horizontal, vertical, clockwise, counterclockwise, rotate-180."
        ),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many answers.")] = None,
    pace: Annotated[
        bool | None,
        typer.Option(
            "--pace/--no-pace",
            help="Play a file at its own rate and drop late frames, or classify every frame. Default: every frame of "
            "files, the own rate of synthetic:.",
        ),
    ] = None,
    loop: Annotated[bool | None, typer.Option("--loop/--no-loop", help="Repeat a file.")] = None,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", help="Wait for a camera that is not connected yet.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CAMERA_DEMO_TOKEN",
            help="Token that browsers on the network need for http://. Default: a new one at each start.",
        ),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text (default), or json: one object a line.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and OpenCV's own messages.")] = False,
) -> None:
    """Classify a live camera, a clip or a folder, and show the answers.

    A camera that is unplugged or freezes is opened again when it is back. Ends at the end of the input, or with Ctrl-C
    or SIGTERM, and then prints a summary on stderr.
    """
    given = {name: value for name, value in context.params.items() if value is not None and name not in _NOT_SETTINGS}
    given |= {"outputs": tuple(outputs)} if outputs else {}  # an empty list must not replace those of the file
    settings = settings_of(read_config(config) if config else {}, given)
    set_up_logs(settings.log_format)
    # Imported here because they import cv2, which reads its environment once.
    from camera_demo.session import run
    from camera_demo.stop import stop_on_signals

    with stop_on_signals() as stop:
        try:
            run(settings, stop, announce=_log.info)
        except KeyboardInterrupt:
            _log.info("Stopped before the first frame.")
        except EdgeError as error:
            if settings.log_format == "text":
                raise
            _log.error("%s", error, extra={"event": "failed"})
            raise typer.Exit(error.exit_code) from None
