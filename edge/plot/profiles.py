"""Which charts show a profile, or two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge.budget import Budget
from edge.bundles.bundle import Bundle
from edge.bundles.variant import Variant
from edge.plot.chart import Axis, Chart, Mark, Series
from edge.profiling.profile import LatencyProfile
from edge.selection import Candidate, pareto_front, rank

__all__ = ["comparison_charts", "profile_charts"]

_BLUE, _ORANGE, _GREEN, _RED = "#1f66b0", "#d97706", "#2e7d32", "#b00020"
_COLOURS: Final = (_BLUE, _ORANGE)
_ANY: Final = Budget(latency_ms=600_000.0)


def profile_charts(profile: LatencyProfile, bundle: Bundle | None, *, budget_ms: float | None = None) -> list[Chart]:
    """Accuracy against latency, latency against mult-adds, and the sustained run if there is one.

    Args:
        profile: What to show.
        bundle: Whose accuracies; without it, there is no chart of them.
        budget_ms: A latency budget to draw in.
    """
    return list(_charts([_Shown(profile, profile.board, _BLUE, bundle)], budget_ms))


def comparison_charts(
    first: LatencyProfile, second: LatencyProfile, names: tuple[str, str], bundle: Bundle | None = None
) -> list[Chart]:
    """The same charts with two profiles in each."""
    profiles = zip((first, second), names, _COLOURS, strict=True)
    return list(_charts([_Shown(*profile, bundle) for profile in profiles], None))


@dataclass(frozen=True, slots=True)
class _Shown:
    """One profile as the charts show it."""

    profile: LatencyProfile
    name: str
    colour: str
    bundle: Bundle | None

    @property
    def warning(self) -> str:
        """Why its figures cannot be relied on; empty if they can."""
        return "" if self.profile.valid else f"{self.name}: not valid. {' '.join(self.profile.objections)}"

    @property
    def candidates(self) -> list[Candidate]:
        """The bundle's variants that have a latency."""
        found = rank(self.bundle, self.profile, _ANY) if self.bundle is not None else ()
        return [candidate for candidate in found if candidate.latency_ms is not None]

    @property
    def front(self) -> Sequence[Candidate]:
        """The Pareto front of latency and accuracy, fastest first."""
        return pareto_front(self.candidates, lambda c: self.at(c)[0], lambda c: self.at(c)[1])

    @property
    def is_labelled(self) -> bool:
        """Whether top-1 was measured for all of them."""
        return all(candidate.top1 is not None for candidate in self.candidates)

    def at(self, candidate: Candidate) -> tuple[float, float]:
        """Latency in ms; top-1, or else agreement with float, in percent."""
        accuracy = candidate.top1 if self.is_labelled else None
        return candidate.latency_ms or 0.0, (candidate.agreement or 0.0) if accuracy is None else accuracy


def _charts(shown: Sequence[_Shown], budget_ms: float | None) -> Iterator[Chart]:
    hollow = " or ".join(sorted({row.provenance for one in shown for row in one.profile.rows} - {"measured"}))
    warning = " ".join(one.warning for one in shown if one.warning)
    bundle = shown[0].bundle
    if bundle is not None:
        label = "top-1, %" if shown[0].is_labelled else "agreement with float, %"
        yield Chart(
            title=f"{label.partition(',')[0].capitalize()} against latency, bundle {bundle.name}",
            x=Axis(label="p95, ms a frame", is_log=True),
            y=Axis(label=label),
            series=tuple(series for one in shown for series in _accuracy(one)),
            limit=None if budget_ms is None else (budget_ms, f"budget {budget_ms:g} ms"),
            hollow=hollow,
            warning=warning,
        )
    costs = tuple(series for series in map(_cost, shown) if series.marks)
    if costs:
        yield Chart(
            title="Latency against mult-adds",
            x=Axis(label="million mult-adds, with 1000 classes", is_log=True),
            y=Axis(label="median, ms a frame", is_log=True),
            series=costs,
            hollow=hollow,
            warning=warning,
        )
    for one in shown:
        if len(one.profile.sustained) > 1:
            yield from _sustained(one.profile, one.name, one.warning)


def _accuracy(shown: _Shown) -> list[Series]:
    """The line through the Pareto front, and every variant; those on the front are labelled."""
    front = shown.front
    marks = (
        Mark(
            at=shown.at(candidate),
            label=_short(candidate.variant) if candidate in front else "",
            name=candidate.variant.name,
            is_hollow=candidate.provenance != "measured",
        )
        for candidate in shown.candidates
    )
    line = tuple(Mark(at=shown.at(candidate)) for candidate in front)
    return [
        Series(name="Pareto front", colour=shown.colour, marks=line, is_line=True, has_dots=False),
        Series(name=shown.name, colour=shown.colour, marks=tuple(marks)),
    ]


def _cost(shown: _Shown) -> Series:
    """Every MobileNet v1 of a profile by its mult-adds with 1000 classes; labelled as in the chart of accuracy."""
    labelled = {candidate.variant for candidate in shown.front} or {row.variant for row in shown.profile.rows}
    marks = (
        Mark(
            at=(row.variant.mult_adds(1000).total / 1e6, row.latency.nearest("p50")[1]),
            label=_short(row.variant) if row.variant in labelled else "",
            name=row.variant.name,
            is_hollow=row.provenance != "measured",
        )
        for row in shown.profile.rows
        if row.variant.is_mobilenet_v1
    )
    return Series(name=shown.name, colour=shown.colour, marks=tuple(marks))


def _sustained(profile: LatencyProfile, name: str, warning: str) -> Iterator[Chart]:
    """Slowdown, temperature, clock and power over the minutes, as far as they were recorded."""
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
                warning=warning,
            )


def _short(variant: Variant) -> str:
    return variant.name.removeprefix("mobilenet_v1_")
