"""``edge select``: the best variant within a budget, and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import edge
from edge.cli.options import AsJson, BackendName, BundlePlace, ThreadsOrAuto, thread_choice
from edge.combinations import beside, combined
from edge.console import note, progress_bar, stdout, table, write_json
from edge.errors import BudgetError
from edge.profiling.profile import LatencyProfile
from edge.profiling.reference_profiles import nearest_published
from edge.selection import Candidate, Selection
from edge.text import figure

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["select", "verdict"]

_LEGEND: Final = {
    "agree %": "agree: pictures with the same best class as in float",
    "front": "front: no other variant is both as fast and as good (Pareto front)",
}
"""What the headings mean that a reader may not know."""
_RANKED_BY: Final = {"top1": "measured top-1", "mult_adds": "mult-adds"}


@combined(beside(("--profile", "--board"), "--backend", "--threads", reason="that profile was measured with its own"))
def select(
    bundle: BundlePlace = "demo",
    budget_ms: Annotated[float | None, typer.Option(help="Latency budget of a frame, in ms.")] = None,
    fps: Annotated[float | None, typer.Option(help="Or as frames a second.")] = None,
    percentile: Annotated[
        str, typer.Option(help="Latency to compare with it: p50, p90, p95, p99, avg or max.")
    ] = "p95",
    min_top1: Annotated[float | None, typer.Option(help="Minimum top-1 accuracy, in percent.")] = None,
    max_mb: Annotated[float | None, typer.Option(help="Maximum size of the model file, in MB.")] = None,
    max_rss_mb: Annotated[float | None, typer.Option(help="Maximum memory of the process, in MB.")] = None,
    max_cpu: Annotated[float | None, typer.Option(help="Maximum share of all CPUs, in percent.")] = None,
    profile: Annotated[Path | None, typer.Option(help="A profile file; default: this machine's own.")] = None,
    board: Annotated[
        str | None, typer.Option(help="Use published figures of another board, e.g. 'raspberry pi 4'.")
    ] = None,
    backend: BackendName = "auto",
    threads: ThreadsOrAuto = None,
    json: AsJson = False,
) -> None:
    """Choose the most accurate variant that meets a latency budget. Exit code 1 when none does.

    Example: edge select --bundle demo --fps 30 --min-top1 90
    """
    if (budget_ms is None) == (fps is None):
        raise BudgetError("Expected one of --budget-ms and --fps, e.g. --fps 30.")
    if profile is not None and board is not None:
        raise BudgetError("--profile and --board both name a profile: give one of them.")
    budget = edge.Budget.of(
        fps=fps,
        budget_ms=budget_ms,
        percentile=percentile,
        min_top1=min_top1,
        max_mb=max_mb,
        max_rss_mb=max_rss_mb,
        max_cpu_percent=max_cpu,
    )
    opened, choice = edge.open_bundle(bundle), thread_choice(threads)
    if board is not None:
        latencies = nearest_published(board)
        note(f"published, not measured: {latencies.board}, {latencies.backend_version}, {latencies.source}")
    elif profile is not None:
        latencies = edge.load_profile(profile)
    else:
        with progress_bar(f"profiling {opened.name}") as progress:
            latencies = edge.profile(opened, backend=backend, threads=choice, progress=progress, announce=note)
    selection = edge.select(opened, latencies, budget)
    if json:
        write_json(_as_dict(selection))
    else:
        stdout().print(_table(selection))
        stdout().print(verdict(selection, latencies), soft_wrap=True)
    if profile is not None or board is not None:  # else edge.profile has announced them
        for objection in latencies.objections:
            note(f"the profile is not valid: {objection}")


def _table(selection: Selection) -> Table:
    """Every candidate; accuracy or agreement, and the conditions that were asked for."""
    budget = selection.budget
    title = f"{budget.percentile} within {budget.latency_ms:.2f} ms, best by {_RANKED_BY[selection.ranked_by]}"
    columns = _columns(selection)
    result = table(title, *columns, "verdict", text=("front", "verdict"))
    for candidate in selection.candidates:
        style = "bold" if candidate is selection.chosen else "" if candidate.fits else "dim"
        result.add_row(*(cell(candidate) for cell in columns.values()), selection.verdict(candidate), style=style)
    result.caption = "; ".join(words for heading, words in _LEGEND.items() if heading in columns)
    return result


def _columns(selection: Selection) -> dict[str, Callable[[Candidate], str]]:
    """Headings, and what stands below each."""
    budget = selection.budget
    columns: dict[str, Callable[[Candidate], str]] = {
        "variant": lambda c: c.variant.name,
        f"{budget.percentile} ms": _latency,
        "top-1 %": lambda c: figure(c.top1, 1),
        "agree %": lambda c: figure(c.agreement, 1),
        "MMACs": lambda c: figure(c.mult_adds / 1e6, 1),
        "MB": lambda c: figure(c.size_mb, 2),
        "RSS MB": lambda c: figure(c.rss_mb, 0),
        "CPU %": lambda c: figure(c.cpu_percent, 0),
        "front": lambda c: "yes" if c in selection.front else "",
    }
    unasked = {"agree %" if selection.ranked_by == "top1" else "top-1 %"}
    unasked |= set() if budget.max_rss_mb else {"RSS MB"}
    unasked |= set() if budget.max_cpu_percent else {"CPU %"}
    return {heading: cell for heading, cell in columns.items() if heading not in unasked}


def _latency(candidate: Candidate) -> str:
    shown = figure(candidate.latency_ms, 2)
    is_measured = candidate.provenance in (None, "measured")
    return shown if is_measured else f"{shown} ({candidate.provenance} {candidate.percentile})"


def verdict(selection: Selection, profile: LatencyProfile) -> str:
    """Which variant was chosen, at what latency, and where that was measured."""
    chosen, budget = selection.chosen, selection.budget
    row = profile.find(chosen.variant)
    threads = f", threads {row.num_threads}" if row and row.num_threads else ""
    return (
        f"{chosen.variant.name}: {chosen.latency_ms:.2f} ms {chosen.percentile} of {budget.latency_ms:.2f} ms "
        f"on {profile.board} ({profile.backend}{threads})"
        + ("" if profile.equal is None else f"; measured on {profile.equal}")
    )


def _as_dict(selection: Selection) -> dict[str, Any]:
    def row(candidate: Candidate) -> dict[str, Any]:
        values = asdict(candidate) | {"variant": candidate.variant.name, "objections": list(candidate.objections)}
        del values["conditions"], values["over_ms"], values["score"]
        values["is_efficient"] = candidate in selection.front
        return values | {"fits": candidate.fits, "verdict": selection.verdict(candidate)}

    return {
        "budget": asdict(selection.budget),
        "ranked_by": selection.ranked_by,
        "chosen": selection.chosen.variant.name,
        "variants": [row(candidate) for candidate in selection.candidates],
    }
