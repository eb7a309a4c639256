"""A chart as a value, and how it is laid out on a canvas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.plot.canvas import Canvas, Point

__all__ = ["HEIGHT", "WIDTH", "Axis", "Chart", "Mark", "Series", "render"]

WIDTH: Final = 760
HEIGHT: Final = 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 64, 54
_GRID, _INK = "#dddddd", "#444444"
_TICKS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What one direction means."""

    label: str
    is_log: bool = False
    starts_at_zero: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One point of a series."""

    at: Point
    label: str = ""
    """Written beside it."""
    tip: str = ""
    is_hollow: bool = False
    """For what was not measured."""
    x_range: tuple[float, float] | None = None
    """An error bar along x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour, with or without a line through them."""

    name: str
    colour: str
    marks: tuple[Mark, ...]
    is_line: bool = False
    has_dots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Series over two axes, and at most one limit along x."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limit: tuple[float, str] | None = None
    """An x, and what it is."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)


def render(chart: Chart, canvas: Canvas) -> None:
    """Draw a chart into the upper left :data:`WIDTH` by :data:`HEIGHT` pixels of a canvas."""
    marks = [mark for series in chart.series for mark in series.marks]
    limits = [chart.limit[0]] if chart.limit else []
    ends = [end for mark in marks for end in mark.x_range or ()]
    x = _scale(chart.x, [mark.at[0] for mark in marks] + limits + ends, _LEFT, WIDTH - _RIGHT)
    y = _scale(chart.y, [mark.at[1] for mark in marks], HEIGHT - _BOTTOM, _TOP)
    _frame(chart, canvas, x, y)
    if chart.limit is not None:
        at = x(chart.limit[0])
        canvas.line((at, _TOP), (at, HEIGHT - _BOTTOM), "#b00020", width=1.5, is_dashed=True)
        canvas.text((at - 5, _TOP + 12), chart.limit[1], anchor="end", size=11, colour="#b00020")
    for series in chart.series:
        _series(series, canvas, x, y)


def _series(series: Series, canvas: Canvas, x: _Scale, y: _Scale) -> None:
    places = [(x(mark.at[0]), y(mark.at[1])) for mark in series.marks]
    if series.is_line:
        for a, b in itertools.pairwise(places):
            canvas.line(a, b, series.colour, width=1.5)
    for mark, place in zip(series.marks, places, strict=True):
        if mark.x_range is not None:
            canvas.line((x(mark.x_range[0]), place[1]), (x(mark.x_range[1]), place[1]), series.colour)
        if series.has_dots:
            canvas.circle(place, 4, series.colour, is_filled=not mark.is_hollow, tip=mark.tip)
        if mark.label:
            canvas.text((place[0] + 7, place[1] + 11), mark.label, size=10, colour=_INK)


def _frame(chart: Chart, canvas: Canvas, x: _Scale, y: _Scale) -> None:
    """Title, names of the series, grid, ticks and labels."""
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    canvas.text((_LEFT, 24), chart.title, size=15)
    place = float(_LEFT)
    for series in chart.series:
        if series.has_dots:
            canvas.circle((place + 4, 42), 4, series.colour)
        else:
            canvas.line((place - 2, 42), (place + 10, 42), series.colour, width=1.5)
        canvas.text((place + 13, 46), series.name, size=11, colour=_INK)
        place += 30 + 6.5 * len(series.name)
    for value in _ticks(x):
        canvas.line((x(value), _TOP), (x(value), bottom), _GRID)
        canvas.text((x(value), bottom + 17), f"{value:g}", size=11, anchor="middle", colour=_INK)
    for value in _ticks(y):
        canvas.line((_LEFT, y(value)), (right, y(value)), _GRID)
        canvas.text((_LEFT - 7, y(value) + 4), f"{value:g}", size=11, anchor="end", colour=_INK)
    canvas.text(((_LEFT + right) / 2, HEIGHT - 14), chart.x.label, size=12, anchor="middle", colour=_INK)
    canvas.text((8, _TOP - 6), chart.y.label, size=12, colour=_INK)


def _scale(axis: Axis, values: Sequence[float], start: float, end: float) -> _Scale:
    """A scale that leaves some room at both ends."""
    low, high = min(values), max(values)
    if axis.is_log:
        factor = max((high / low) ** 0.08, 1.05)
        return _Scale(low / factor, high * factor, start, end, True)
    room = 0.08 * (high - low) or 0.5 * abs(high) or 1.0
    return _Scale(0.0 if axis.starts_at_zero else low - room, high + room, start, end, False)


def _ticks(scale: _Scale) -> list[float]:
    """Round values within a scale: 1, 2 and 5 times powers of ten, and those between where there are few."""
    if scale.is_log:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        for bases in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
            steps = [round(base * 10.0**power, 10) for power in powers for base in bases]
            inside = [step for step in steps if scale.low <= step <= scale.high]
            if len(inside) > 2:
                break
        return inside
    rough = (scale.high - scale.low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(base * unit for base in (1, 2, 5, 10) if base * unit >= rough)
    first = math.ceil(scale.low / step)
    return [round(number * step, 10) for number in range(first, math.floor(scale.high / step) + 1)]
