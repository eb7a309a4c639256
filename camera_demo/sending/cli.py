"""``camera-demo-send``: collected pictures to a machine of yours."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import Annotated

import typer

from camera_demo.errors import ConfigError
from camera_demo.sending.send import SendOptions, send
from camera_demo.sending.targets import open_target
from edge.console import stdout, write_json
from edge.program import run as run_command

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The console script ``camera-demo-send``."""
    run_command(lambda: app, "camera-demo-send")


@app.command()
def camera_demo_send(
    folder: Annotated[Path, typer.Argument(help="The folder of collect:DIR.", metavar="DIR")],
    to: Annotated[
        str,
        typer.Argument(
            help="USER@HOST:FOLDER or rsync://HOST/MODULE (rsync), rclone:REMOTE:BUCKET (S3 and others), https://…, or "
            "a folder that exists.",
            metavar="TO",
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Also pictures that were neither unsure nor unknown.")
    ] = False,
    mb: Annotated[float, typer.Option(min=0.001, help="The most megabytes in 24 hours.")] = 50.0,
    kilobytes_s: Annotated[int, typer.Option("--kbps", min=1, help="The most kilobytes a second.")] = 100,
    between: Annotated[
        str | None, typer.Option(help="Local times between which to send, e.g. 01:00-05:00. Default: always.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send collected pictures that the network was unsure of to a machine of yours, each once; nothing is deleted.

    What was not confirmed by the other side is sent again the next time. With https://, each picture is a POST of
    multipart/form-data (picture, about), with the token of the variable SEND_TOKEN.

    Example: camera-demo-send seen me@nas:pictures/attic --between 01:00-05:00
    """
    options = SendOptions(everything=everything, mb=mb, kilobytes_s=kilobytes_s, between=_between(between))
    sent = send(folder, open_target(to), options)
    if json:
        write_json(
            {"pictures": sent.pictures, "size_bytes": sent.size_bytes, "left": sent.left, "why": sent.why or None}
        )
        return
    left = f"; {sent.left} are left: {sent.why}" if sent.left else ""
    stdout().print(f"{sent.pictures} pictures sent, {sent.size_bytes / 1e6:.2f} MB{left}.", soft_wrap=True)


def _between(text: str | None) -> tuple[time, time] | None:
    if text is None:
        return None
    try:
        start, end = (datetime.strptime(part, "%H:%M").time() for part in text.split("-"))
    except ValueError:
        raise ConfigError(f"invalid --between '{text}': expected two times, e.g. 01:00-05:00.") from None
    return start, end
