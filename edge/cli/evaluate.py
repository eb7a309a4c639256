"""``edge evaluate``: is a bundle good enough? Its answers to labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edge
from edge.cli.options import AsJson, BackendName, Threads, UnknownChoice
from edge.combinations import combined, without
from edge.console import progress_bar, write_json
from edge.evaluation.page import matrix_axes, write_page
from edge.evaluation.table import show_evaluation
from edge.files import check_parent
from edge.inference.unknown import parse_unknown
from edge.plot.confusion import check_confusion_plot, write_confusions

__all__ = ["evaluate"]


@combined(without("--nothing", "--background"))
def evaluate(
    bundle: Annotated[
        str, typer.Argument(help="A bundle's folder, or the name of an installed or shipped one.", metavar="BUNDLE")
    ],
    pictures: Annotated[Path, typer.Argument(help="A folder of pictures for each class.", metavar="FOLDER")],
    variant: Annotated[str | None, typer.Option(help="Default: the most accurate one.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help='Classes of the pictures, {"photo.jpg": 3}; default: folder names.')
    ] = None,
    nothing: Annotated[Path | None, typer.Option(help="Pictures that show none of the classes.")] = None,
    background: Annotated[
        str | None, typer.Option(help="The class that stands for nothing, if there is one: right for those, too.")
    ] = None,
    unknown: UnknownChoice = "auto",
    html: Annotated[Path | None, typer.Option(help="Write a page with the worst confusions.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the confusion matrix: a .png or .svg file.")] = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Classify labelled pictures: precision and recall of every class, and what is taken for what.

    Example: edge evaluate demo test-photos --html confusions.html
    """
    if html is not None:
        check_parent(html)
    if plot is not None:
        check_confusion_plot(plot)
    with progress_bar("evaluating") as progress:
        found = edge.evaluate(
            bundle,
            pictures,
            variant,
            truth=truth,
            nothing=nothing,
            background=background,
            unknown=parse_unknown(unknown),
            backend=backend,
            threads=threads,
            progress=progress,
        )
    if html is not None:
        write_page(found, html)
    if plot is not None:
        rows, columns = matrix_axes(found)
        names = [found.name_of(row) for row in rows], [found.name_of_answer(column) for column in columns]
        write_confusions(found.matrix(rows, columns), *names, plot, title=f"{found.model} on {found.measured_on}")
    if json:
        write_json(found.to_dict())
    else:
        show_evaluation(found)
