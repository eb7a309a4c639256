"""The command line ``edge-convert``, put together from its commands."""

from __future__ import annotations

import functools
import logging
import os
from typing import Final, NoReturn

import typer

from convert.errors import (
    AccuracyError,
    DivergedError,
    FolderInUseError,
    OtherSettingsError,
    UnfinishedRunError,
    UntrainedError,
)
from edge.console import say
from edge.errors import ExistsError
from edge.program import run

__all__ = ["build", "main"]

_HINTS: Final = {
    ExistsError: "--force replaces it.",
    UntrainedError: "--allow-untrained converts it nevertheless.",
    AccuracyError: "--min-agreement sets the least agreement.",
    DivergedError: "Add --resume and a lower --rate.",
    OtherSettingsError: "--force starts from scratch.",
    UnfinishedRunError: "--resume continues the training that stopped there, --force starts from scratch.",
    FolderInUseError: "--force starts from scratch in it.",
}
"""The option that helps with an error of each class; the first that fits is printed behind it."""


class _Notes(logging.Handler):
    """Prints what the library logs, a line each on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message; those that are worth a warning as one."""
        message = record.getMessage()
        say(f"edge-convert: warning: {message}" if record.levelno >= logging.WARNING else f"note: {message}")


def _log_to_stderr() -> None:
    logger = logging.getLogger("convert")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Notes) for handler in logger.handlers):
        logger.addHandler(_Notes())
    logger.propagate = False


@functools.cache
def build() -> typer.Typer:
    """The command line; its commands are imported here, so that :func:`edge.program.run` can name a missing library."""
    from convert.cli.bundle import bundle
    from convert.cli.engine import engine, sign_engines
    from convert.cli.fetch import fetch
    from convert.cli.importing import import_
    from convert.cli.layers import layers
    from convert.cli.onnx import onnx
    from convert.cli.paper import paper
    from convert.cli.tflite import tflite
    from convert.cli.train import train
    from convert.cli.verify import verify

    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Convert a trained MobileNet v1 for a Raspberry Pi or a Jetson.",
        epilog="Example: edge-convert bundle mobilenet_1_0_224_tf.h5 --calibration photos --labels labels.txt "
        "--out bundle",
    )
    app.callback()(_log_to_stderr)
    app.command("tflite")(tflite)
    app.command("onnx")(onnx)
    app.command("bundle")(bundle)
    app.command("engine")(engine)
    app.command("sign-engines")(sign_engines)
    app.command("verify")(verify)
    app.command("layers")(layers)
    app.command("import")(import_)
    app.command("fetch")(fetch)
    app.command("paper")(paper)
    app.command("train")(train)
    return app


def main() -> NoReturn:
    """The console script ``edge-convert``.

    Torch's threads sleep while they wait, unless the environment says otherwise: spinning ones burn many times the work
    where other programs take a core. OpenMP reads this when torch is loaded, later.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run(build, "edge-convert", hints=_HINTS)
