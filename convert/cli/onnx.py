"""``edge-convert onnx``: one ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convert.cli.formatting import show_model
from convert.cli.options import TRUTH_RULE, AsJson, Calibration, CheckpointFile, Labels, Side
from convert.options import ConversionOptions
from edge.combinations import combined
from edge.console import progress_bar
from edge.grouping import grouped

__all__ = ["onnx"]


@combined(TRUTH_RULE)
@grouped
def onnx(
    checkpoint: CheckpointFile,
    resolution: Side,
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    precision: Annotated[
        Literal["fp32", "fp16", "int8", "int8_full"],
        typer.Option(help="int8 keeps the depthwise layers in fp16; int8_full does not, and agrees less."),
    ] = "int8",
    labels: Labels = None,
    calibration: Calibration = None,
    options: ConversionOptions = ConversionOptions(),
    json: AsJson = False,
) -> None:
    """Write one ONNX model for TensorRT or ONNX Runtime, run it, and compare it with float.

    Example: edge-convert onnx mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --out m_int8.onnx
    """
    from convert.conversion import write_onnx

    with progress_bar("converting") as progress:
        emitted = write_onnx(
            checkpoint,
            out,
            resolution=resolution,
            precision=precision,
            labels=labels or (),
            calibration=calibration,
            options=options,
            progress=progress,
        )
    show_model(emitted, out, as_json=json)
