"""The command line ``edge-convert``, put together from its commands."""

from __future__ import annotations

from typing import NoReturn

import typer

from convert.cli.bundle import bundle
from convert.cli.engine import engine
from convert.cli.fetch import fetch
from convert.cli.importing import import_
from convert.cli.layers import layers
from convert.cli.onnx import onnx
from convert.cli.paper import paper
from convert.cli.tflite import tflite
from convert.cli.train import train
from convert.cli.verify import verify
from edge.console import run

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Convert a trained MobileNet v1 for a Raspberry Pi or a Jetson.",
    epilog="Example: edge-convert bundle mobilenet_1_0_224_tf.h5 --calibration photos --labels labels.txt --out bundle",
)
app.command("tflite")(tflite)
app.command("onnx")(onnx)
app.command("bundle")(bundle)
app.command("engine")(engine)
app.command("verify")(verify)
app.command("layers")(layers)
app.command("import")(import_)
app.command("fetch")(fetch)
app.command("paper")(paper)
app.command("train")(train)


def main() -> NoReturn:
    """The console script ``edge-convert``."""
    run(app, "edge-convert")
