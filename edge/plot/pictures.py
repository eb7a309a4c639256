"""Which charts show a profile, or two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.plot.chart import Axis, Chart, Mark, Series
from edge.profiling.profile import LatencyProfile
from edge.selection import Candidate, pareto_front, ranked

__all__ = ["comparison_charts", "profile_charts"]

_BLUE, _ORANGE, _GREEN, _RED = "#1f66b0", "#d97706", "#2e7d32", "#b00020"
_COLOURS: Final = (_BLUE, _ORANGE)
_ANY: Final = Budget(latency_ms=600_000.0)


def profile_charts(profile: LatencyProfile, bundle: Bundle | None, *, budget_ms: float | None = None) -> list[Chart]:
    """Accuracy against latency, latency against mult-adds, and the sustained course if there is one.

    Args:
        profile: What to show.
        bundle: Whose accuracies; None leaves that chart out.
        budget_ms: A line to draw in.
    """
    return list(_charts([profile], [profile.board], bundle, budget_ms))


def comparison_charts(
    first: LatencyProfile, second: LatencyProfile, names: tuple[str, str], bundle: Bundle | None = None
) -> list[Chart]:
    """The same charts with two profiles in each."""
    return list(_charts([first, second], names, bundle, None))


def _charts(
    profiles: Sequence[LatencyProfile], names: Sequence[str], bundle: Bundle | None, budget_ms: float | None
) -> Iterator[Chart]:
    limit = None if budget_ms is None else (budget_ms, f"budget {budget_ms:g} ms")
    if bundle is not None:
        series = [s for p, n, c in zip(profiles, names, _COLOURS, strict=False) for s in _accuracy(p, n, c, bundle)]
        _, ranked_by = ranked(bundle, profiles[0], _ANY)
        label = "top-1, %" if ranked_by == "measured top-1" else "agreement with float, %"
        yield Chart(
            title=f"{label.partition(',')[0].capitalize()} against latency, bundle {bundle.name}",
            x=Axis(label="p95, ms a frame", is_log=True),
            y=Axis(label=label),
            series=tuple(series),
            limit=limit,
        )
    yield Chart(
        title="Latency against mult-adds",
        x=Axis(label="million mult-adds, with 1000 classes", is_log=True),
        y=Axis(label="median, ms a frame", is_log=True),
        series=tuple(_cost(p, n, c) for p, n, c in zip(profiles, names, _COLOURS, strict=False)),
    )
    for profile, name in zip(profiles, names, strict=True):
        if len(profile.sustained) > 1:
            yield from _sustained(profile, name)


def _accuracy(profile: LatencyProfile, name: str, colour: str, bundle: Bundle) -> list[Series]:
    """Every variant, and the line through those that none beats."""
    candidates, ranked_by = ranked(bundle, profile, _ANY)
    timed = [candidate for candidate in candidates if candidate.latency_ms is not None]
    front = pareto_front(timed, lambda c: c.latency_ms or 0.0, lambda c: _percent(c, ranked_by))
    all_marks = tuple(_candidate_mark(candidate, ranked_by) for candidate in timed)
    line = tuple(Mark(at=(c.latency_ms or 0.0, _percent(c, ranked_by))) for c in front)
    return [
        Series(name="Pareto front", colour=colour, marks=line, is_line=True, has_dots=False),
        Series(name=name, colour=colour, marks=all_marks),
    ]


def _candidate_mark(candidate: Candidate, ranked_by: str) -> Mark:
    at = candidate.latency_ms or 0.0, _percent(candidate, ranked_by)
    return Mark(
        at=at,
        label=_short(candidate.variant.name),
        tip=f"{candidate.variant.name}: {at[1]:.1f} %, {candidate.percentile} {at[0]:.2f} ms, {candidate.provenance}",
        is_hollow=candidate.provenance != "measured",
    )


def _percent(candidate: Candidate, ranked_by: str) -> float:
    return candidate.agreement if ranked_by == "mult-adds" or candidate.top1 is None else candidate.top1


def _cost(profile: LatencyProfile, name: str, colour: str) -> Series:
    """Every row of a profile by its mult-adds with 1000 classes."""
    marks = []
    for row in profile.rows:
        figure, latency_ms = row.latency.nearest("p50")
        cost = row.variant.mult_adds(1000).total / 1e6
        tip = f"{row.variant.name}: {cost:.0f} M, {figure} {latency_ms:.2f} ms, {row.provenance}"
        is_hollow = row.provenance != "measured"
        marks.append(Mark(at=(cost, latency_ms), label=_short(row.variant.name), tip=tip, is_hollow=is_hollow))
    return Series(name=name, colour=colour, marks=tuple(marks))


def _sustained(profile: LatencyProfile, name: str) -> Iterator[Chart]:
    """Slowdown and heat over the minutes, each where it was seen."""
    courses = (
        ("Slowdown", "times the first seconds", _BLUE, [(p.at_s, p.slowdown) for p in profile.sustained]),
        ("Temperature", "°C", _RED, [(p.at_s, p.temperature_c) for p in profile.sustained]),
        ("Clock", "MHz", _GREEN, [(p.at_s, p.clock_mhz) for p in profile.sustained]),
        ("Power", "W", _ORANGE, [(p.at_s, p.power_w) for p in profile.sustained]),
    )
    for title, unit, colour, course in courses:
        marks = tuple(Mark(at=(at_s / 60, float(value))) for at_s, value in course if value is not None)
        if len(marks) > 1:
            yield Chart(
                title=f"{title} of a sustained run on {name}",
                x=Axis(label="minutes", starts_at_zero=True),
                y=Axis(label=unit),
                series=(Series(name=title.lower(), colour=colour, marks=marks, is_line=True, has_dots=False),),
            )


def _short(name: str) -> str:
    return name.removeprefix("mobilenet_v1_")
