"""``edge-convert bundle``: every variant, converted and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.cli.formatting import check_html, report, show_bundle
from convert.cli.options import (
    NEEDS_PICTURES,
    TRUTH_RULE,
    AsJson,
    Calibration,
    Force,
    Html,
    Targets,
    numbers,
    targets_of,
)
from convert.options import BundleOptions
from edge.bundles.members import check_place
from edge.combinations import combined, without
from edge.console import progress_bar
from edge.evaluation.options import ThresholdOptions
from edge.grouping import grouped

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.checkpoints import Checkpoint
    from edge.evaluation.result import Evaluation

__all__ = ["bundle"]


@combined(
    TRUTH_RULE,
    without(NEEDS_PICTURES, "--nothing", "--precision", "--keep"),
    without("--nothing", "--false-alarms"),
)
@grouped
def bundle(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="One for each α, or FILE@224,192 for some ρ of it.", metavar="CHECKPOINT..."),
    ],
    labels: Annotated[Path, typer.Option(help="One label a line, line N for class N.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    resolutions: Annotated[
        str | None, typer.Option(help="Every ρ, with commas between; default: the files' own, or 224,192,160,128.")
    ] = None,
    targets: Targets = "tflite",
    calibration: Calibration = None,
    options: BundleOptions = BundleOptions(),
    thresholds: ThresholdOptions = ThresholdOptions(),
    html: Html = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Convert, measure and bundle every α and ρ.

    Example: edge-convert bundle a_1.0.h5 a_0.5.h5 --calibration photos --labels labels.txt --out bundle
    """
    from convert.conversion import write_bundle

    check_place(out, replace=force)
    check_html(html)
    evaluations: list[Evaluation] = []
    with progress_bar("converting") as progress:
        written = write_bundle(
            [_checkpoint(text) for text in checkpoints],
            out,
            labels=labels,
            calibration=calibration,
            resolutions=None if resolutions is None else numbers(resolutions),
            targets=targets_of(targets),
            options=options,
            thresholds=thresholds,
            replace=force,
            on_evaluated=evaluations.append,
            progress=progress,
        )
    show_bundle(written, as_json=json)
    best = max(evaluations, key=lambda one: one.right, default=None)
    report([] if best is None else [best], html, as_json=json)


def _checkpoint(text: str) -> Checkpoint:
    """The checkpoint at a path, or at a path with the resolutions behind it that it is for."""
    from convert.checkpoints import load_checkpoint

    path, at, sides = text.rpartition("@")
    if not at or Path(text).exists():
        return load_checkpoint(Path(text))
    return replace(load_checkpoint(Path(path)), only_at=numbers(sides))
