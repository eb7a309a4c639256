"""``edge-convert tflite``: one int8 model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convert.cli.formatting import show_model
from convert.cli.options import TRUTH_RULE, AsJson, Calibration, CheckpointFile, Labels, Side
from convert.options import TfliteOptions
from edge.combinations import combined
from edge.console import progress_bar
from edge.grouping import grouped

__all__ = ["tflite"]


@combined(TRUTH_RULE)
@grouped
def tflite(
    checkpoint: CheckpointFile,
    resolution: Side,
    out: Annotated[Path, typer.Option(help="The .tflite file to write.")],
    io: Annotated[Literal["int8", "uint8"], typer.Option(help="Type of input and output.")] = "int8",
    labels: Labels = None,
    calibration: Calibration = None,
    options: TfliteOptions = TfliteOptions(),
    json: AsJson = False,
) -> None:
    """Write one full-integer int8 model, run it, and compare it with float.

    Example: edge-convert tflite mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --out m.tflite
    """
    from convert.conversion import write_tflite

    with progress_bar("converting") as progress:
        emitted = write_tflite(
            checkpoint,
            out,
            resolution=resolution,
            labels=labels or (),
            calibration=calibration,
            io=io,
            options=options,
            progress=progress,
        )
    show_model(emitted, out, as_json=json)
