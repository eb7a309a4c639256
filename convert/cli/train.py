"""``edge-convert train``: your own classes, one network or the whole family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.cli.formatting import check_html, report
from convert.cli.options import AsJson, Html, numbers
from convert.options import TrainingOptions
from edge.bundles.variant import ALPHAS, Variant
from edge.combinations import beside, combined, without
from edge.console import progress_bar, stdout, table, write_json
from edge.grouping import grouped

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.training.launch import TrainingResult

__all__ = ["train"]


@combined(
    without("--teacher", "--teacher-weight"),
    beside("--resume", "--force", reason="one continues, the other starts from scratch"),
    beside("--estimate", "--resume", "--force", "--html", "--save-every", "--patience", "--tensorboard"),
)
@grouped
def train(
    data: Annotated[
        Path,
        typer.Argument(help="A folder for each class, or a CSV of path, label and perhaps split.", metavar="PICTURES"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints.")],
    single: Annotated[float | None, typer.Option(help="Train one α alone; default: all in one set of weights.")] = None,
    resolutions: Annotated[str, typer.Option(help="Every ρ, separated by commas.")] = "224,192,160,128",
    start: Annotated[Path | None, typer.Option("--from", help="Begin with a checkpoint's weights.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from a checkpoint's answers, too.")] = None,
    options: TrainingOptions = TrainingOptions(),
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start from scratch in a folder that is in use.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it takes, and stop.")] = False,
    html: Html = None,
    json: AsJson = False,
) -> None:
    """Train on your own pictures; write a checkpoint for each α, good at every ρ.

    Example: edge-convert train photos --out checkpoints --from mobilenet_1_0_224_tf.h5
    """
    from convert.training.launch import estimate_training
    from convert.training.launch import train as run

    check_html(html)
    alphas, sides = ALPHAS if single is None else (single,), numbers(resolutions)
    with progress_bar("estimating" if estimate else "training") as progress:
        if estimate:
            found = estimate_training(
                data, alphas=alphas, resolutions=sides, start=start, teacher=teacher, options=options, progress=progress
            )
            if json:
                write_json({"seconds": round(found.seconds, 1), "memory_mb": round(found.memory_mb, 1)})
            return
        result = run(
            data,
            out,
            alphas=alphas,
            resolutions=sides,
            start=start,
            teacher=teacher,
            options=options,
            resume=resume,
            replace=force,
            progress=progress,
        )
    if result.top1 and json:
        write_json({variant.name: top1 for variant, top1 in result.top1.items()})
    elif result.top1:
        _print(result, out)
    report([] if result.evaluation is None else [result.evaluation], html, as_json=json)


def _print(result: TrainingResult, out: Path) -> None:
    top1 = result.top1
    sides = list(dict.fromkeys(variant.resolution for variant in top1))
    rows = table(f"top-1 on {len(result.dataset.measured)} held-back pictures, %", "α", *map(str, sides))
    for alpha in dict.fromkeys(variant.alpha for variant in top1):
        rows.add_row(f"{alpha:g}", *(f"{100 * top1[Variant(alpha, side)]:.1f}" for side in sides))
    stdout().print(rows)
    stdout().print(
        f"{out}: a checkpoint for each α, labels.txt, splits.csv, metrics.csv, training.json", soft_wrap=True
    )
