"""``edge-convert tflite``: one int8 model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from convert.cli.material import gather_material
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
from convert.cli.words import in_words
from edge.console import progress_bar, stdout, write_json
from edge.preprocess import Preprocessing

__all__ = ["tflite"]


def tflite(
    checkpoint: Annotated[Path, typer.Argument(help="Keras .h5 or mobilenet-edge .safetensors.")],
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
    from convert.checkpoints import load_checkpoint
    from convert.pipeline import emit
    from convert.tflite_metadata import ModelCard
    from edge.bundle import read_labels
    from edge.files import write_atomically

    loaded = load_checkpoint(checkpoint)
    names = read_labels(labels) if labels else ()
    with progress_bar("converting") as progress:
        recipe = Preprocessing(resize=resize)
        material = gather_material(loaded, names, calibration, verify_on, truth, [resolution], recipe, progress)
        card = ModelCard(labels=names, author=author, license=license_)
        (emitted,) = emit(
            loaded,
            resolution,
            material,
            effort=effort,
            io=io,
            card=card,
            min_agreement=min_agreement,
            progress=progress,
        )
    write_atomically(out, emitted.content)
    if json:
        write_json({"file": str(out), "size_bytes": len(emitted.content), "accuracy": asdict(emitted.accuracy)})
    else:
        stdout().print(f"{out}: {len(emitted.content) / 1e6:.2f} MB, {in_words(emitted.accuracy)}", soft_wrap=True)
