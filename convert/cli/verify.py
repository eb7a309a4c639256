"""``edge-convert verify``: a written model against its float original."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from convert.cli.formatting import in_words
from convert.cli.options import MIN_AGREEMENT, AsJson, MinAgreement, Resizing, Truth
from edge.console import progress_bar, stdout, write_json
from edge.vision.preprocess import Preprocessing

__all__ = ["verify"]


def verify(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.")],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint it was made from.")],
    pictures: Annotated[Path, typer.Option(help="Folder of pictures it was not calibrated on.")],
    labels: Annotated[Path | None, typer.Option(help="One label a line, line N for class N.")] = None,
    truth: Truth = None,
    resize: Resizing = "bilinear",
    min_agreement: MinAgreement = MIN_AGREEMENT,
    json: AsJson = False,
) -> None:
    """Run a written model and compare it with its float original.

    Example: edge-convert verify m.tflite mobilenet_1_0_224_tf.h5 --pictures photos
    """
    from convert.checkpoints import load_checkpoint
    from convert.pipeline.variant import compare
    from convert.pipeline.verification import require
    from edge.bundles.bundle import read_labels

    loaded = load_checkpoint(checkpoint)
    names = read_labels(labels) if labels else ()
    with progress_bar("verifying") as progress:
        accuracy = compare(
            model,
            loaded,
            pictures,
            labels=names,
            truth=truth,
            preprocessing=Preprocessing(resize=resize),
            progress=progress,
        )
    if json:
        write_json({"file": str(model), "accuracy": asdict(accuracy)})
    else:
        stdout().print(f"{model}: {in_words(accuracy)}", soft_wrap=True)
    require(accuracy, min_agreement, model.name)
