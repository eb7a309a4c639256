"""``edge select``: the best variant within a budget, and why not the others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from edge import select as selecting
from edge.bundle import Bundle, open_bundle
from edge.cli.options import AsJson, BackendName, BundlePlace, Threads
from edge.console import note, progress_bar, stdout, table, write_json
from edge.errors import BudgetError
from edge.latency import LatencyProfile, load_profile
from edge.select import Budget, Candidate, Selection
from edge.store import profile_for

__all__ = ["select"]


def select(
    bundle: BundlePlace = "demo",
    budget_ms: Annotated[float | None, typer.Option(help="The longest a frame may take, in ms.")] = None,
    fps: Annotated[float | None, typer.Option(help="Or the frames a second to keep up with.")] = None,
    percentile: Annotated[str, typer.Option(help="What must meet it: p50, p90, p95, p99, avg or max.")] = "p95",
    min_top1: Annotated[float | None, typer.Option(help="The least accuracy, in percent.")] = None,
    max_mb: Annotated[float | None, typer.Option(help="The largest model file, in MB.")] = None,
    profile: Annotated[Path | None, typer.Option(help="A profile's file; default: this machine's own.")] = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Choose the most accurate variant that meets a latency budget. Exit code 1 when none does.

    Example: edge select --bundle demo --fps 30 --min-top1 90
    """
    budget = budget_of(budget_ms, fps, percentile=percentile, min_top1=min_top1, max_mb=max_mb)
    opened = open_bundle(bundle)
    measured = load_profile(profile) if profile else _own_profile(opened, backend, threads)
    selection = selecting.select(opened, measured, budget)
    if json:
        write_json(_as_dict(selection))
    else:
        stdout().print(_table(selection))
        stdout().print(_verdict(selection, measured), soft_wrap=True)
    for objection in measured.objections:
        note(f"the profile is not valid: {objection}")


def budget_of(budget_ms: float | None, fps: float | None, **others: Any) -> Budget:
    """The budget that a command line names.

    Raises:
        BudgetError: Neither or both of ``budget_ms`` and ``fps`` are given, or a value makes no sense.
    """
    if (budget_ms is None) == (fps is None):
        raise BudgetError("Expected one of --budget-ms and --fps, e.g. --fps 30.")
    if fps is not None:
        return Budget.of_fps(fps, **others)
    assert budget_ms is not None
    return Budget(latency_ms=budget_ms, **others)


def _own_profile(bundle: Bundle, backend: str, threads: int | None) -> LatencyProfile:
    with progress_bar(f"profiling {bundle.name}") as progress:
        return profile_for(bundle, backend=backend, threads=threads, progress=progress, announce=note)


def _table(selection: Selection) -> Table:
    budget = selection.budget
    title = f"{budget.percentile} within {budget.latency_ms:.2f} ms, best by {selection.ranked_by}"
    headings = ("variant", f"{budget.percentile} ms", "top-1 %", "agree %", "MMACs", "MB", "verdict")
    made = table(title, *headings, text=("verdict",))
    for candidate in selection.candidates:
        style = "bold" if candidate is selection.chosen else "" if candidate.fits else "dim"
        made.add_row(*_cells(candidate), selection.verdict(candidate), style=style)
    return made


def _cells(candidate: Candidate) -> tuple[str, ...]:
    latency = "" if candidate.latency_ms is None else f"{candidate.latency_ms:.2f}"
    if candidate.provenance not in (None, "measured"):
        latency += f" ({candidate.provenance})"
    return (
        candidate.variant.name,
        latency,
        "" if candidate.top1 is None else f"{candidate.top1:.1f}",
        f"{candidate.agreement:.1f}",
        f"{candidate.mult_adds / 1e6:.1f}",
        f"{candidate.size_mb:.2f}",
    )


def _verdict(selection: Selection, profile: LatencyProfile) -> str:
    chosen, budget = selection.chosen, selection.budget
    board = profile.device.get("board") or "this machine"
    return (
        f"{chosen.variant.name}: {chosen.latency_ms:.2f} ms {budget.percentile} of {budget.latency_ms:.2f} ms "
        f"on {board} ({profile.backend}, threads {profile.threads})"
    )


def _as_dict(selection: Selection) -> dict[str, Any]:
    def row(candidate: Candidate) -> dict[str, Any]:
        values = asdict(candidate) | {"variant": candidate.variant.name, "objections": list(candidate.objections)}
        return values | {"fits": candidate.fits, "verdict": selection.verdict(candidate)}

    return {
        "budget": asdict(selection.budget),
        "ranked_by": selection.ranked_by,
        "chosen": selection.chosen.variant.name,
        "variants": [row(candidate) for candidate in selection.candidates],
    }
