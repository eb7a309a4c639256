"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

__all__ = [
    "MIN_AGREEMENT",
    "AsJson",
    "Author",
    "Calibration",
    "Effort",
    "Force",
    "License",
    "MinAgreement",
    "Resizing",
    "Targets",
    "Truth",
    "VerifyOn",
]

MIN_AGREEMENT: Final = 0.85

Calibration = Annotated[
    Path | None,
    typer.Option(help="Pictures like those the camera will see; half is held back. Or a training's splits.csv."),
]
Effort = Annotated[
    Literal["fast", "best"], typer.Option(help="best calibrates on other views of the pictures too, and takes longer.")
]
VerifyOn = Annotated[Path | None, typer.Option(help="Other pictures to measure on, instead of holding half back.")]
Truth = Annotated[Path | None, typer.Option(help='Classes of the pictures, {"photo.jpg": 3}; default: folder names.')]
Author = Annotated[str, typer.Option(help="Who made the weights, for the .tflite file's metadata.")]
License = Annotated[str, typer.Option("--license", help="The weights' licence, for the .tflite file's metadata.")]
MinAgreement = Annotated[float, typer.Option(min=0.0, max=1.0, help="Refuse a file that agrees with float less often.")]
Resizing = Annotated[
    Literal["bilinear", "halving", "area"], typer.Option("--resize", help="How the device shrinks frames.")
]
Targets = Annotated[
    str, typer.Option(help="tflite, onnx (fp32, fp16 and int8), or one of onnx-PRECISION; with commas between.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that already stands there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
