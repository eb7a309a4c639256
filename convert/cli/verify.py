"""``edge-convert verify``: a written model against its float original."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from convert.cli.formatting import check_html, in_words, report
from convert.cli.options import AsJson, Html, Labels
from convert.options import CheckOptions
from edge.console import progress_bar, stdout, write_json
from edge.evaluation.result import Evaluation
from edge.grouping import grouped

__all__ = ["verify"]


@grouped
def verify(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", metavar="MODEL")],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint it was made from.", metavar="CHECKPOINT")],
    pictures: Annotated[Path, typer.Option(help="Folder of pictures it was not calibrated on.")],
    labels: Labels = None,
    options: CheckOptions = CheckOptions(),
    html: Html = None,
    json: AsJson = False,
) -> None:
    """Run a written model and compare it with its float original.

    Example: edge-convert verify m.tflite mobilenet_1_0_224_tf.h5 --pictures photos
    """
    from convert import conversion
    from convert.pipeline.verification import require

    check_html(html)

    with progress_bar("verifying") as progress:
        evaluations: list[Evaluation] = []
        lenient = replace(options, min_agreement=0.0)  # the figures are shown first, good or bad
        accuracy = conversion.verify(
            model,
            checkpoint,
            pictures,
            labels=labels or (),
            options=lenient,
            on_evaluated=evaluations.append,
            progress=progress,
        )
    if json:
        by_class = {"evaluation": evaluations[0].to_dict()} if evaluations else {}
        write_json({"file": str(model), "accuracy": asdict(accuracy), **by_class})
    else:
        stdout().print(f"{model}: {in_words(accuracy)}", soft_wrap=True)
    report(evaluations, html, as_json=json)
    require(accuracy, options.min_agreement, model.name)
