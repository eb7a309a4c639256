"""The paper's Figures 4 and 5, and its comparisons, from what was trained here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from convert.paper.experiments import RESOLUTIONS, Result, Results
from edge.plot import write_charts
from edge.plot.chart import Axis, Chart, Mark, Series

__all__ = ["write_plots"]

_COLOURS: Final = dict(zip(RESOLUTIONS, ("#1f66b0", "#d97706", "#2e7d32"), strict=True))
_OTHERS: Final = {"Conv": "#b00020", "Shallow": "#6a1b9a"}
_Cost = Literal["mult_adds", "parameters"]
_AXES: Final[dict[_Cost, str]] = {"mult_adds": "mult-adds, millions", "parameters": "parameters, thousands"}
_UNITS: Final[dict[_Cost, float]] = {"mult_adds": 1e6, "parameters": 1e3}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Draw accuracy against mult-adds and against parameters.

    Raises:
        OutputError: A file cannot be written.
    """
    notes = [
        f"Digits on noise, ten classes; the widest network has a quarter of MobileNet's channels; {results.steps} "
        f"steps of {results.batch} pictures. No accuracy of ImageNet's."
    ]
    written = []
    costs: tuple[_Cost, ...] = ("mult_adds", "parameters")
    for cost in costs:
        path = folder / f"accuracy_by_{cost}.png"
        title = f"Top-1 by {cost.replace('_', '-')}: digits, {results.steps} steps"
        write_charts([_chart(results, cost, title)], path, title=title, notes=notes)
        written.append(path)
    return written


def _chart(results: Results, cost: _Cost, title: str) -> Chart:
    family = [row for row in results.rows if row.label[0].isdigit()]
    sides = [side for side in RESOLUTIONS if any(row.resolution == side for row in family)]
    series = [
        _series(f"MobileNet, ρ = {side}", _COLOURS[side], [r for r in family if r.resolution == side], cost)
        for side in sides
    ]
    for name, colour in _OTHERS.items():
        rows = [row for row in results.rows if row.label.startswith(name)]
        series += [_series(f"{rows[0].label}", colour, rows, cost)] if rows else []
    y = Axis(label="top-1, %")
    return Chart(title=title, x=Axis(label=_AXES[cost], is_log=True), y=y, series=tuple(series))


def _series(name: str, colour: str, rows: Iterable[Result], cost: _Cost) -> Series:
    ordered = sorted(rows, key=lambda row: getattr(row, cost))
    marks = (
        Mark(
            at=(getattr(row, cost) / _UNITS[cost], 100 * row.top1),
            label=f"{row.alpha:g}" if row.label[0].isdigit() else "",
            name=f"{row.label}, {len(row.accuracies)} training runs",
        )
        for row in ordered
    )
    return Series(name=name, colour=colour, marks=tuple(marks), is_line=len(ordered) > 1)
