"""An evaluation as tables and sentences for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.evaluation.page import class_cells, matrix_axes
from edge.evaluation.result import ClassResult, Evaluation

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["show_evaluation"]

_MOST_ROWS: Final = 25
_MOST_COLUMNS: Final = 13
_MOST_CONFUSIONS: Final = 10


def show_evaluation(evaluation: Evaluation) -> None:
    """Print how each class did, the confusion matrix of few classes or the worst confusions of many, and findings."""
    from edge.console import stdout  # loads typer: only where something is printed

    stdout().print(_classes(evaluation))
    rows, columns = matrix_axes(evaluation)
    if len(columns) <= _MOST_COLUMNS:
        stdout().print(_matrix(evaluation, rows, columns))
    elif evaluation.confusions:
        stdout().print(_confusions(evaluation))
    for finding in evaluation.findings():
        stdout().print(finding, soft_wrap=True)


def _classes(evaluation: Evaluation) -> Table:
    from edge.console import table

    title = f"{evaluation.model}: {len(evaluation.answers)} pictures of {evaluation.measured_on}"
    made = table(title, "class", "pictures", "recall %", "95 %", "named", "precision %", "95 %", "unknown")
    is_long = len(evaluation.classes) > _MOST_ROWS
    ranked = sorted(evaluation.classes, key=_worst_first) if is_long else evaluation.classes
    for one in ranked[:_MOST_ROWS]:
        made.add_row(*class_cells(one))
    if len(ranked) > _MOST_ROWS:
        made.caption = f"the {_MOST_ROWS} worst of {len(ranked)} classes; all of them: --json or --html"
    return made


def _matrix(evaluation: Evaluation, rows: tuple[int | None, ...], columns: tuple[int | None, ...]) -> Table:
    from edge.console import table

    made = table("shown, and what was named", "shown", *map(evaluation.name_of_answer, columns))
    for row, counts in zip(rows, evaluation.matrix(rows, columns), strict=True):
        made.add_row(evaluation.name_of(row), *(str(count or "") for count in counts))
    return made


def _confusions(evaluation: Evaluation) -> Table:
    from edge.console import table

    made = table("the most frequent confusions", "shown", "named", "pictures", text=("named",))
    for group in evaluation.confusions[:_MOST_CONFUSIONS]:
        names = evaluation.name_of(group.shown), evaluation.name_of_answer(group.answer)
        made.add_row(*names, str(len(group.pictures)))
    return made


def _worst_first(one: ClassResult) -> tuple[float, float]:
    return (1.0 if one.recall is None else one.recall, -one.pictures)
