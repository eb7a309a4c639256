"""``edge-convert tflite``: one int8 model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convert.cli.options import (
    MIN_AGREEMENT,
    AsJson,
    Author,
    Calibration,
    Effort,
    License,
    MinAgreement,
    Resizing,
    Truth,
    VerifyOn,
)
from convert.cli.write_model import Pictures, write_model
from edge.vision.preprocess import Preprocessing

__all__ = ["tflite"]


def tflite(
    checkpoint: Annotated[Path, typer.Argument(help="Trained weights: .h5, .safetensors, .pth or .npz.")],
    resolution: Annotated[int, typer.Option(help="Input height and width ρ, a multiple of 32.")],
    out: Annotated[Path, typer.Option(help="The .tflite file to write.")],
    io: Annotated[Literal["int8", "uint8"], typer.Option(help="Type of input and output.")] = "int8",
    labels: Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")] = None,
    author: Author = "",
    license_: License = "",
    calibration: Calibration = None,
    effort: Effort = "fast",
    verify_on: VerifyOn = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    json: AsJson = False,
) -> None:
    """Write one full-integer int8 model, run it, and compare it with float.

    Example: edge-convert tflite mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --out m.tflite
    """
    from convert.export.tflite_metadata import ModelCard
    from edge.bundles.bundle import read_labels

    names = read_labels(labels) if labels else ()
    write_model(
        checkpoint,
        resolution,
        out,
        Pictures(calibration=calibration, verify_on=verify_on, truth=truth, recipe=Preprocessing(resize=resize)),
        target="tflite",
        labels=names,
        effort=effort,
        min_agreement=min_agreement,
        as_json=json,
        io=io,
        card=ModelCard(labels=names, author=author, license=license_),
    )
