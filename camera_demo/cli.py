"""``camera-demo``: classify a live camera, a clip or a folder, and show the answers."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from camera_demo.config import read_config, settings_of
from camera_demo.logs import set_up_logs
from camera_demo.opencv import prepare_opencv
from edge.console import run as run_command
from edge.errors import EdgeError

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_log = logging.getLogger(__name__)

_NOT_SETTINGS: Final = ("config", "debug")
_HAND_OVER_S: Final = 0.0005
"""How long a thread may keep the interpreter from the others. With Python's 5 ms, a browser's request would hold up the
loop for longer than a small model takes."""


def main() -> None:
    """The console script ``camera-demo``."""
    prepare_opencv(is_silent="--debug" not in sys.argv)
    sys.setswitchinterval(_HAND_OVER_S)
    run_command(app, "camera-demo")


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
        Path | None, typer.Option(help="A TOML file with any of these options; the command line wins.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder, or demo (default), which ships.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Choose the best variant that keeps this rate, all the time. Default: 30.")
    ] = None,
    budget_ms: Annotated[float | None, typer.Option(help="The same as milliseconds a frame.")] = None,
    variant: Annotated[str | None, typer.Option(help="Use this variant, whatever the budget: 0.50_160.")] = None,
    backend: Annotated[str | None, typer.Option(help="auto (default), or a backend's name.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the board's cores, at most 4.")] = None,
    headless: Annotated[
        bool | None, typer.Option("--headless/--no-headless", help="Open no window: leave display out.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "--topk", min=1, help="Classes in each answer. Default: 5.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Probability below which a class is left out. Default: 0.")
    ] = None,
    smoothing: Annotated[
        float | None, typer.Option(min=0, help="Average the answers over about so many seconds. Default: 0.")
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(metavar="LEFT,TOP,RIGHT,BOTTOM", help="Classify this part: shares, as in 0.25,0,0.75,1."),
    ] = None,
    input_width: Annotated[int | None, typer.Option(help="Pixels to ask of a camera. Default: 640.")] = None,
    input_height: Annotated[int | None, typer.Option(help="Pixels to ask of a camera. Default: 480.")] = None,
    input_rate: Annotated[float | None, typer.Option(help="Frames a second to ask of a camera.")] = None,
    input_codec: Annotated[str | None, typer.Option(help="Form to ask of a USB camera. Default: MJPG.")] = None,
    input_flip: Annotated[
        str | None,
        typer.Option(
            help="Turn the pictures: none (default), horizontal, vertical, clockwise, counterclockwise, rotate-180."
        ),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many answers.")] = None,
    pace: Annotated[
        bool | None,
        typer.Option(
            "--pace/--no-pace",
            help="Play a file at its own rate and drop what is late, or take every frame. Files take every frame by "
            "default, synthetic: keeps its rate.",
        ),
    ] = None,
    loop: Annotated[bool | None, typer.Option("--loop/--no-loop", help="Play a file again and again.")] = None,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", help="Wait for a camera that is not there yet.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CAMERA_DEMO_TOKEN",
            help="What a browser must know where http:// is open to the network. Default: made at each start.",
        ),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text (default), or json: one object a line.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and OpenCV's own messages.")] = False,
) -> None:
    """Classify a live camera, a clip or a folder, and show the answers.

    A camera that is unplugged, freezes or hangs up is waited for, and goes on when it is back. Ends at the end of the
    input, with Ctrl-C or SIGTERM, and then says on stderr what it saw.
    """
    given = {name: value for name, value in context.params.items() if value is not None and name not in _NOT_SETTINGS}
    given |= {"outputs": tuple(outputs)} if outputs else {}
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
