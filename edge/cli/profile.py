"""``edge profile``: what every variant takes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge.bundle import open_bundle
from edge.cli.options import AsJson, BackendName, BundlePlace, Threads
from edge.console import note, progress_bar, stdout, table, write_json
from edge.device import describe
from edge.latency import LatencyProfile
from edge.measure import QUICK, THOROUGH, default_threads, measure
from edge.store import profile_path, store
from edge.variant import Variant

__all__ = ["profile"]


def profile(
    bundle: BundlePlace = "demo",
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant; may be given again.")] = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the profile; default: this machine's own.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer runs.")] = False,
    json: AsJson = False,
) -> None:
    """Time every variant of a bundle on this machine, frame to answer.

    Example: edge profile --bundle demo --threads 2
    """
    opened, used = open_bundle(bundle), threads or default_threads()
    with progress_bar(f"profiling {opened.name}") as progress:
        measured = measure(
            opened,
            variants=[Variant.parse(name) for name in variant or ()],
            backend=backend,
            threads=used,
            effort=QUICK if quick else THOROUGH,
            progress=progress,
        )
    if out is not None:
        measured.save(out)
    elif not variant:
        store(measured, profile_path(opened, backend, used, describe()), note)
    if json:
        write_json(measured.to_dict())
    else:
        stdout().print(_table(measured))
        stdout().print(_circumstances(measured), soft_wrap=True)
    for objection in measured.objections:
        note(f"these figures are not valid: {objection}")


def _table(profile: LatencyProfile) -> Table:
    title = f"{profile.bundle} on {profile.device.get('board') or 'this machine'}, ms a frame"
    made = table(title, "variant", "p50", "p95", "p99", "infer", "load", "first", "runs", "MB")
    for row in profile.rows:
        latency = row.latency
        figures = (latency.median_ms, latency.p95_ms, latency.p99_ms, row.infer_ms)
        made.add_row(
            row.variant.name,
            *(f"{value:.2f}" for value in figures),
            f"{latency.init_ms:.0f}",
            f"{latency.warmup_first_ms:.1f}",
            str(latency.num_runs),
            f"{row.peak_rss_mb:.0f}",
        )
    return made


def _circumstances(profile: LatencyProfile) -> str:
    width, height = profile.frame_size
    words = [f"{profile.backend_version}, threads {profile.threads}, frames {width}x{height}"]
    before, after = profile.before, profile.after
    if before.get("temperature_c") is not None and after.get("temperature_c") is not None:
        words.append(f"{before['temperature_c']:.0f} to {after['temperature_c']:.0f} °C")
    if after.get("clock_mhz"):
        words.append(f"{max(after['clock_mhz'])} MHz")
    if after.get("governor"):
        words.append(f"governor {after['governor']}")
    return "; ".join(words)
