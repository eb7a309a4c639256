"""``edge-convert paper``: the paper's tables from our networks, and its experiments."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.cli.options import AsJson
from edge.combinations import combined, without
from edge.console import progress_bar, stdout, table, write_json

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.paper import Cell, Table

__all__ = ["paper"]


@combined(without("--experiments", "--steps", "--runs"))
def paper(
    experiments: Annotated[
        Path | None, typer.Option(help="Repeat the experiments at small scale, and write results and plots here.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Training steps of each network.")] = 400,
    runs: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 1,
    json: AsJson = False,
) -> None:
    """Recompute the tables of the MobileNet paper (arXiv 1704.04861), or repeat its experiments.

    Example: edge-convert paper --json
    """
    if experiments is not None:
        _experiment(experiments, steps, runs, as_json=json)
        return
    from convert.paper import recomputed

    tables = recomputed()
    if json:
        write_json([asdict(one) | {"differing": one.differing} for one in tables])
        return
    for one in tables:
        _print(one)
    cells = [cell for one in tables for row in one.rows for cell in row.cells.values()]
    counts = {status: sum(cell.status == status for cell in cells) for status in ("equal", "explained", "different")}
    stdout().print(", ".join(f"{n} figures {status}" for status, n in counts.items()), soft_wrap=True)


def _experiment(folder: Path, steps: int, runs: int, *, as_json: bool) -> None:
    from convert.paper.experiments import run
    from convert.paper.plots import write_plots
    from edge.plot import need_matplotlib

    need_matplotlib()
    with progress_bar("training") as progress:
        results = run(folder, steps=steps, runs=runs, progress=progress)
    written = write_plots(results, folder)
    if as_json:
        write_json(results.to_dict())
        return
    made = table("Digits, top-1 of each network", "network", "ρ", "MMACs", "params k", "top-1 %", "runs")
    for one in results.rows:
        spread = f" ± {100 * one.deviation:.1f}" if len(one.accuracies) > 1 else ""
        made.add_row(
            one.label,
            str(one.resolution),
            f"{one.mult_adds / 1e6:.2f}",
            f"{one.parameters / 1e3:.1f}",
            f"{100 * one.top1:.1f}{spread}",
            str(len(one.accuracies)),
        )
    stdout().print(made)
    stdout().print(f"Written: {', '.join(map(str, written))}", soft_wrap=True)


def _print(one: Table) -> None:
    columns = list(one.rows[0].cells)
    title = f"Table {one.number}" if one.number.isdigit() else one.number
    headings = [text for name in columns for text in (f"{name}", "ours")]
    made = table(f"{title}: {one.caption}", "row", *headings)
    notes = []
    for row in one.rows:
        figures = []
        for name in columns:
            cell = row.cells[name]
            figures += [_told(cell.printed), _found(cell)]
            if cell.why:
                notes.append(f"{row.label}, {name}: {cell.why}")
        made.add_row(row.label, *figures)
    stdout().print(made)
    for note in notes:
        stdout().print(f"* {note}", soft_wrap=True)


def _told(value: float | str | None) -> str:
    return "" if value is None else str(value)


def _found(cell: Cell) -> str:
    mark = {"explained": " *", "different": " !"}.get(cell.status, "")
    if isinstance(cell.computed, float):
        return f"{cell.computed:.2f}{mark}"
    return _told(cell.computed) + mark
