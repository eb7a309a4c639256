"""``camera-demo``: classify a live camera, a clip or a folder, and show the answers."""

from __future__ import annotations

import logging
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import typer

from camera_demo.config import read_config, settings_of
from camera_demo.logs import log_what_nobody_catches, set_up_logs
from camera_demo.opencv import prepare_opencv
from camera_demo.settings import Settings
from edge.addresses import without_secrets
from edge.errors import EdgeError
from edge.grouping import grouped
from edge.program import run as run_command

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_log = logging.getLogger(__name__)

_HAND_OVER_S: Final = 0.0005
"""How long a thread may keep the interpreter. With Python's 5 ms, a browser's request would delay the loop by more than
a small model takes."""


def main() -> None:
    """The console script ``camera-demo``."""
    is_debugging = "--debug" in sys.argv
    prepare_opencv(is_silent=not is_debugging)
    if not is_debugging:
        log_what_nobody_catches()
    sys.setswitchinterval(_HAND_OVER_S)
    run_command(lambda: app, "camera-demo")


@app.command(
    epilog="Examples: camera-demo    camera-demo 0 http://127.0.0.1:8000    camera-demo clip.mp4 out.mp4 json:-"
)
@grouped
def camera_demo(
    input: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]",
            help="0, /dev/video0, /dev/v4l/by-id/NAME, csi://0, rtsp://HOST/PATH, http://HOST:81/stream, a video file, "
            "a folder, 'photos/*.jpg', synthetic:640x480@30, or demo, the clip that ships. Default: the first camera, "
            "else demo.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OUTPUT]...",
            help="terminal (the default), json:-, json:FILE, a video file (out.mp4), display, http://127.0.0.1:8000, "
            "mqtt://HOST/TOPIC, collect:DIR. Several at once.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of these options; the command line takes precedence.")
    ] = None,
    settings: Settings = Settings(),
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and OpenCV's own messages.")] = False,
) -> None:
    """Classify a live camera, a clip or a folder, and show the answers.

    A camera that is unplugged or freezes is opened again when it is back. Ends at the end of the input, or with Ctrl-C
    or SIGTERM, and then prints a summary on stderr. What is done when a class is seen stands in the file of --config.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    given = {name: value for name, value in values.items() if value not in (None, (), [])}
    given |= {"input": input} if input is not None else {}
    given |= {"outputs": tuple(outputs)} if outputs else {}
    settings = settings_of(read_config(config) if config else {}, given)
    log_format = settings.log_format or "text"
    set_up_logs(log_format)
    # Imported here because they import cv2, which reads its environment once.
    from camera_demo.session import run
    from camera_demo.stop import stop_on_signals

    with stop_on_signals() as stop:
        try:
            run(settings, stop, announce=_log.info)
        except KeyboardInterrupt:
            _log.info("Stopped before the first frame.")
        except EdgeError as error:
            if log_format == "text":
                raise
            _log.error("%s", without_secrets(str(error), sys.argv[1:]), extra={"event": "failed"})
            raise typer.Exit(error.exit_code) from None
