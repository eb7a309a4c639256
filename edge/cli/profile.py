"""``edge profile``: the latency of every variant on this machine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import edge
from edge.budget import Budget
from edge.bundles.bundle import Bundle, open_bundle
from edge.cli.options import AsJson, BackendName, BundlePlace, ThreadsOrAuto, thread_choice
from edge.cli.select import verdict
from edge.combinations import beside, combined
from edge.console import note, progress_bar, stdout, table, write_json
from edge.errors import NoVariantFits, ProfileError
from edge.files import check_folder, check_parent
from edge.plot import check_plot, profile_charts, write_charts
from edge.profiling.measure import QUICK, THOROUGH
from edge.profiling.profile import LatencyProfile, ProfileRow
from edge.profiling.profile_folder import publish as publish_profile
from edge.text import figure

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["profile"]

_LEGEND = (
    "±: half the 95 % confidence interval of the median; pre, infer: medians of preprocessing and inference; "
    "load, first: loading the model, the first frame; thr: threads; MB: peak memory"
)


@combined(beside("--like", "--quick", reason="three variants are timed briefly as it is"))
def profile(
    bundle: BundlePlace = "demo",
    variant: Annotated[list[str] | None, typer.Option(help="Measure only this variant; repeat for several.")] = None,
    backend: BackendName = "auto",
    threads: ThreadsOrAuto = None,
    predict_rest: Annotated[
        bool,
        typer.Option(
            "--predict", help="Measure four representative variants, or those named, and estimate the others."
        ),
    ] = False,
    sustained: Annotated[
        float,
        typer.Option(metavar="MIN", min=0, max=1440, help="Keep running for MIN minutes and record the temperature."),
    ] = 0.0,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Take the profile of an equal board, or from a folder of profiles, once three variants agree here.",
        ),
    ] = None,
    publish: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also put it into this folder, for equal boards to take by --like."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the profile; default: this machine's own.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it: a .png, .svg or self-contained .html file.")] = None,
    budget_ms: Annotated[
        float | None, typer.Option(help="Also say which variant fits this budget, and draw it with --plot.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do fewer runs.")] = False,
    json: AsJson = False,
) -> None:
    """Time every variant of a bundle on this machine, frame to answer.

    Example: edge profile --bundle demo --threads auto --plot demo.html
    """
    opened, choice = open_bundle(bundle), thread_choice(threads)
    if plot is not None:
        check_plot(plot)
    if out is not None:
        check_parent(out)
    if publish is not None:
        check_folder(publish)
    budget = None if budget_ms is None else Budget(latency_ms=budget_ms)
    if publish is not None and (like is not None or variant):
        raise ProfileError("--publish needs a measurement of all variants: omit --like and --variant.")
    with progress_bar(f"profiling {opened.name}") as progress:
        found = edge.profile(
            opened,
            variants=variant or (),
            backend=backend,
            threads=choice,
            stop=QUICK if quick else THOROUGH,
            sustained_s=60 * sustained,
            predict_rest=predict_rest,
            like=like,
            refresh=True,
            keep=out is None,
            progress=progress,
            announce=note,
        )
    if out is not None:
        found.save(out)
    if publish is not None:
        note(f"published as {publish_profile(found, opened, publish, host=socket.gethostname())}")
    if plot is not None:
        charts = profile_charts(found, opened, budget_ms=budget_ms)
        write_charts(charts, plot, title=f"{opened.name} on {found.board}", notes=[_circumstances(found)])
    if json:
        write_json(found.to_dict())
    else:
        stdout().print(_table(found))
        stdout().print(_circumstances(found), soft_wrap=True)
    if budget is not None:
        _print_choice(opened, found, budget, as_note=json)
    for objection in found.objections:
        note(f"these figures are not valid: {objection}")


def _print_choice(bundle: Bundle, profile: LatencyProfile, budget: Budget, *, as_note: bool) -> None:
    """Say which variant fits; where none does, that is a note: the measurement was made all the same."""
    try:
        line = verdict(edge.select(bundle, profile, budget), profile)
    except NoVariantFits as reason:
        note(str(reason))
        return
    if as_note:
        note(line)
    else:
        stdout().print(line, soft_wrap=True)


def _table(profile: LatencyProfile) -> Table:
    title = f"{profile.bundle} on {profile.board}, ms a frame"
    result = table(title, "variant", "p50", "±", "p95", "pre", "infer", "load", "first", "thr", "MB")
    for row in profile.rows:
        result.add_row(*_cells(row), style="" if row.provenance == "measured" else "dim")
    result.caption = _LEGEND
    return result


def _cells(row: ProfileRow) -> tuple[str, ...]:
    latency = row.latency
    half_ms = None
    if latency.median_low_ms is not None and latency.median_high_ms is not None:
        half_ms = (latency.median_high_ms - latency.median_low_ms) / 2
    figures = (latency.median_ms, half_ms, latency.p95_ms)
    stages = (row.preprocess_ms, row.infer_ms)
    return (
        row.variant.name + ("" if row.provenance == "measured" else f" ({row.provenance})"),
        *(figure(value, 2) for value in (*figures, *stages)),
        figure(latency.init_ms, 0),
        figure(latency.warmup_first_ms, 1),
        figure(row.num_threads, 0),
        figure(row.peak_rss_mb, 0),
    )


def _circumstances(profile: LatencyProfile) -> str:
    words = [] if profile.equal is None else [f"measured on {profile.created[:10]} on {profile.equal}"]
    words.append(profile.backend_version)
    words.append("each variant's fastest thread count" if profile.threads is None else f"threads {profile.threads}")
    if profile.frame_size is not None:
        words.append("frames {}x{}".format(*profile.frame_size))
    if profile.cpus:
        words.append(f"bound to CPUs {', '.join(map(str, profile.cpus))}")
    before, after = profile.before, profile.after
    if before.temperature_c is not None and after.temperature_c is not None:
        words.append(f"{before.temperature_c:.0f} to {after.temperature_c:.0f} °C")
    if after.clock_mhz:
        words.append(f"{max(after.clock_mhz)} MHz")
    if after.governor:
        words.append(f"governor {after.governor}")
    if profile.load_percent is not None:
        words.append(f"other work {profile.load_percent:.0f} % of one CPU")
    return "; ".join(words)
