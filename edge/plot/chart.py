"""A chart as a value: what is drawn, not how."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Axis", "Chart", "Mark", "Series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What one direction means."""

    label: str
    is_log: bool = False
    starts_at_zero: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One point of a series."""

    at: tuple[float, float]
    label: str = ""
    """Written beside the point, if there is room for it."""
    name: str = ""
    """What the point is: shown on a page where the pointer rests on it, and in the page's table."""
    is_hollow: bool = False
    """Drawn as a ring; :attr:`Chart.hollow` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour, with or without a line through them."""

    name: str
    """In the legend; series of the same name share one entry."""
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
    hollow: str = "not measured"
    """What rings mean, for the legend."""
    warning: str = ""
    """Why the figures cannot be relied on, drawn below the title."""

    def tips(self) -> list[str]:
        """What each mark is and its values; empty for a mark without a name."""
        return [self._tip(mark) if mark.name else "" for series in self.series for mark in series.marks]

    def _tip(self, mark: Mark) -> str:
        x, y = mark.at
        source = f", {self.hollow}" if mark.is_hollow else ""
        return f"{mark.name}: {self.y.label} {y:.4g}, {self.x.label} {x:.4g}{source}"
