"""Arguments that several commands share; settings are in :mod:`convert.options`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from convert.errors import ConversionError
from edge.combinations import without
from edge.errors import VariantError

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.pipeline.targets import Target

__all__ = [
    "NEEDS_PICTURES",
    "TRUTH_RULE",
    "AsJson",
    "Calibration",
    "CheckpointFile",
    "Force",
    "Html",
    "Labels",
    "Side",
    "Targets",
    "numbers",
    "targets_of",
]

CheckpointFile = Annotated[
    Path,
    typer.Argument(help="A trained network: .keras, .h5, .onnx, .tflite, .pth, .safetensors...", metavar="CHECKPOINT"),
]
Side = Annotated[int, typer.Option("--resolution", help="Input height and width ρ, a multiple of 32.")]
Labels = Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")]
Calibration = Annotated[
    Path | None,
    typer.Option(help="Pictures like those the camera will see; half is held back. Or a training's splits.csv."),
]
Targets = Annotated[
    str, typer.Option(help="tflite, onnx (fp32, fp16 and int8), or one of onnx-PRECISION; with commas between.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that is there already.")]
Html = Annotated[
    Path | None, typer.Option(help="Write a page of how each class did: confusions, worst pictures.", metavar="FILE")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


NEEDS_PICTURES: Final = ("--calibration", "--verify-on")
TRUTH_RULE: Final = without(NEEDS_PICTURES, "--truth")
"""What says the classes of pictures says nothing where there are none."""


def numbers(text: str) -> tuple[int, ...]:
    """The resolutions in one option, separated by commas."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as reason:
        raise VariantError(f"Resolutions '{text}' are not numbers: expected e.g. 224,192,160,128.") from reason


def targets_of(text: str) -> tuple[Target, ...]:
    """The formats in one option, separated by commas."""
    from convert.pipeline.targets import FILES

    parts = [part.strip() for part in text.split(",")]
    chosen = tuple(target for target in FILES if target in parts)
    if len(chosen) != len(set(parts)):
        raise ConversionError(f"Targets '{text}' are not all known: expected some of {', '.join(FILES)}.")
    return chosen
