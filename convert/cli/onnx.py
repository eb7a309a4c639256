"""``edge-convert onnx``: one ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from convert.cli.options import MIN_AGREEMENT, AsJson, Calibration, Effort, MinAgreement, Resizing, Truth, VerifyOn
from convert.cli.write_model import Pictures, write_model
from edge.vision.preprocess import Preprocessing

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.pipeline.variant import Target

__all__ = ["Precision", "onnx"]

Precision = Literal["fp32", "fp16", "int8", "int8_full"]
_TARGETS: Final[dict[Precision, Target]] = {
    "fp32": "onnx-fp32",
    "fp16": "onnx-fp16",
    "int8": "onnx-int8",
    "int8_full": "onnx-int8_full",
}


def onnx(
    checkpoint: Annotated[Path, typer.Argument(help="Trained weights: .h5, .safetensors, .pth or .npz.")],
    resolution: Annotated[int, typer.Option(help="Input height and width ρ, a multiple of 32.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    precision: Annotated[
        Precision,
        typer.Option(help="int8 keeps the depthwise layers in fp16; int8_full does not, and agrees less."),
    ] = "int8",
    labels: Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")] = None,
    calibration: Calibration = None,
    effort: Effort = "fast",
    verify_on: VerifyOn = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    json: AsJson = False,
) -> None:
    """Write one ONNX model for TensorRT or ONNX Runtime, run it, and compare it with float.

    Example: edge-convert onnx mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --out m_int8.onnx
    """
    from edge.bundles.bundle import read_labels

    names = read_labels(labels) if labels else ()
    write_model(
        checkpoint,
        resolution,
        out,
        Pictures(calibration=calibration, verify_on=verify_on, truth=truth, recipe=Preprocessing(resize=resize)),
        target=_TARGETS[precision],
        labels=names,
        effort=effort,
        min_agreement=min_agreement,
        as_json=json,
    )
