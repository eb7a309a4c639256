"""``edge compare``: two profiles side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.bundles.bundle import open_bundle
from edge.cli.options import AsJson
from edge.combinations import combined, without
from edge.console import note, stdout, table, write_json
from edge.plot import check_plot, comparison_charts, write_charts
from edge.profiling.comparison import Comparison, Pair
from edge.profiling.comparison import compare as compare_profiles
from edge.profiling.profile import load_profile

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["compare"]

_LEGEND = "B / A: below 1, B is faster; apart: whether the 95 % confidence intervals of the medians do not overlap"


@combined(without("--plot", "--bundle"))
def compare(
    first: Annotated[Path, typer.Argument(help="The reference: a profile's file.", metavar="A.json")],
    second: Annotated[Path, typer.Argument(help="The other one.", metavar="B.json")],
    bundle: Annotated[
        str | None, typer.Option("--bundle", help="For --plot: whose accuracies to draw as well.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw both: a .png, .svg or .html file.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare profiles of different conditions nevertheless.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Compare the latencies of two profiles that were measured under the same conditions.

    Example: edge compare pi4.json pi5.json --bundle demo --plot both.html
    """
    if plot is not None:
        check_plot(plot)
    one, other = load_profile(first), load_profile(second)
    comparison = compare_profiles(one, other, force=force)
    for warning in comparison.warnings:
        note(f"different conditions: {warning}")
    names = (f"A: {first.stem}", f"B: {second.stem}")
    if plot is not None:
        charts = comparison_charts(one, other, names, open_bundle(bundle) if bundle else None)
        write_charts(charts, plot, title=f"{first.stem} and {second.stem}", notes=comparison.warnings)
    if json:
        write_json({"warnings": list(comparison.warnings), "variants": [_as_dict(pair) for pair in comparison.pairs]})
    else:
        stdout().print(_table(comparison, names))


def _table(comparison: Comparison, names: tuple[str, str]) -> Table:
    title = f"ms a frame; {', '.join(names)}"
    result = table(title, "variant", "figure", "A", "B", "B / A", "apart", text=("figure", "apart"))
    for pair in comparison.pairs:
        result.add_row(
            pair.variant.name,
            pair.figure,
            _cell(pair.first_ms, pair.first.provenance),
            _cell(pair.second_ms, pair.second.provenance),
            f"{pair.ratio:.2f}",
            {None: "", True: "yes", False: "no"}[pair.is_clear],
        )
    result.caption = _LEGEND
    return result


def _cell(latency_ms: float, provenance: str) -> str:
    return f"{latency_ms:.2f}" if provenance == "measured" else f"{latency_ms:.2f} ({provenance})"


def _as_dict(pair: Pair) -> dict[str, Any]:
    return {
        "variant": pair.variant.name,
        "figure": pair.figure,
        "first_ms": pair.first_ms,
        "second_ms": pair.second_ms,
        "sources": [pair.first.provenance, pair.second.provenance],
        "ratio": round(pair.ratio, 4),
        "is_clear": pair.is_clear,
    }
