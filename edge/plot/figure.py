"""Charts drawn by matplotlib, one below the other. Only this module imports it."""

from __future__ import annotations

import io
import itertools
import logging
import textwrap
import warnings
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import OutputError
from edge.parts import failed_import
from edge.plot.chart import Axis, Chart, Mark, Series

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["need_matplotlib", "png", "svg"]

_ROW_IN: Final = 4.4
"""Height of one chart, in inches."""
_DOTS_PER_IN: Final = 150
_LETTERS_PER_IN: Final = 13
"""How many letters of a warning fit into an inch; of a title, four fifths."""
_BESIDE_IN: Final = 0.9
"""What stands beside the axes."""
_INK, _GRID, _WARNING = "#333333", "#dddddd", "#b00020"
_STYLE: Final = {
    "axes.edgecolor": "#999999",
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text: it can be searched, and the page stays small
    "text.parse_math": False,  # a "$" in a name is a dollar
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_PLACES: Final = (
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (5, 5, "left", "bottom"),
    (5, -5, "left", "top"),
    (-5, 5, "right", "bottom"),
    (-5, -5, "right", "top"),
)
"""Where a label may stand beside its point, best first: an offset in points, and how the text is aligned there."""


def need_matplotlib() -> None:
    """Refuse to draw without matplotlib, before work is spent on what to draw.

    Its warnings, of a home folder that it cannot keep its fonts' list in for one, are for those who log them.

    Raises:
        OutputError: It is not installed.
    """
    log = logging.getLogger("matplotlib")
    if not (log.handlers or logging.root.handlers):
        log.setLevel(logging.ERROR)
    try:
        import matplotlib  # noqa: F401
    except ImportError as reason:
        raise OutputError(failed_import(reason, "Drawing a plot")) from reason


def png(charts: Sequence[Chart], width_in: float) -> bytes:
    """Charts one below the other, as a PNG picture of ``width_in`` inches at 150 dots per inch."""
    return _saved(charts, width_in, "png")


def svg(charts: Sequence[Chart], width_in: float, salt: str = "") -> str:
    """The same as one ``<svg>`` element; elements with other salts can stand on the same page.

    Each mark that has a name shows it where the pointer rests on it.
    """
    text = _saved(charts, width_in, "svg", salt).decode()
    for number, tip in enumerate(tip for chart in charts for tip in chart.tips()):
        text = text.replace(f'<g id="mark-{number}">', f'<g id="mark-{salt}{number}"><title>{escape(tip)}</title>')
    return text[text.index("<svg") :]


def _saved(charts: Sequence[Chart], width_in: float, form: str, salt: str = "") -> bytes:
    from matplotlib import style

    content = io.BytesIO()
    with style.context(["default", {**_STYLE, "svg.hashsalt": f"edge{salt}"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font does not have
        _figure(charts, width_in).savefig(content, format=form, dpi=_DOTS_PER_IN, metadata={"Date": None})
    return content.getvalue()


def _figure(charts: Sequence[Chart], width_in: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout, letters = ConstrainedLayoutEngine(h_pad=0.15), int((width_in - _BESIDE_IN) * _LETTERS_PER_IN)
    figure = Figure(figsize=(width_in, _ROW_IN * len(charts)), layout=layout)
    FigureCanvasAgg(figure)
    rows: list[Axes] = list(figure.subplots(len(charts), squeeze=False)[:, 0])
    first = 0
    for axes, chart in zip(rows, charts, strict=True):
        _draw(axes, chart, letters, first)
        first += len(chart.tips())
    figure.draw_without_rendering()  # arranges the charts: from here on, a label can be measured beside its neighbours
    for axes, chart in zip(rows, charts, strict=True):
        _label(axes, chart)
    return figure


def _draw(axes: Axes, chart: Chart, letters: int, first: int) -> None:
    """Draw all of a chart but its labels; ``letters`` fit in a line, and ``first`` is its first mark's number."""
    warning = textwrap.wrap(chart.warning, letters)
    axes.set_title(textwrap.fill(chart.title, 4 * letters // 5), loc="left", fontsize=12, pad=8 + 13 * len(warning))
    axes.text(0, 1.02, "\n".join(warning), transform=axes.transAxes, va="bottom", color=_WARNING)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for series in chart.series:
        _series(axes, series, first)
        first += len(series.marks)
    if chart.limit is not None:
        axes.axvline(chart.limit[0], color=_WARNING, linewidth=1.5, linestyle="--")
    axes.margins(0.08)
    _scale(axes, "x", chart.x)
    _scale(axes, "y", chart.y)
    handles = _legend(chart)
    if len(handles) > 1:
        columns = max(1, letters // (5 + max(len(str(handle.get_label())) for handle in handles)))
        axes.legend(handles=handles, ncols=columns, loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False)


def _series(axes: Axes, series: Series, first: int) -> None:
    if series.is_line:
        axes.plot([m.at[0] for m in series.marks], [m.at[1] for m in series.marks], color=series.colour, zorder=2)
    for number, mark in enumerate(series.marks if series.has_dots else (), first):
        fill = "#ffffff" if mark.is_hollow else series.colour
        gid = f"mark-{number}" if mark.name else None
        axes.scatter(*mark.at, s=36, facecolors=fill, edgecolors=series.colour, linewidths=1.5, gid=gid, zorder=3)


def _legend(chart: Chart) -> list[Artist]:
    """What colours, rings and the dashed line mean, each once."""
    from matplotlib.lines import Line2D

    handles = {}
    for series in chart.series:
        colours = {other.colour for other in chart.series if other.name == series.name}
        line = Line2D([], [], color=series.colour if len(colours) == 1 else _INK, label=series.name)
        line.set(linestyle="-" if series.is_line else "", marker="o" if series.has_dots else "")
        handles[series.name] = line
    if any(mark.is_hollow for series in chart.series for mark in series.marks):
        handles["hollow"] = Line2D([], [], color=_INK, label=f"hollow: {chart.hollow}")
        handles["hollow"].set(linestyle="", marker="o", markerfacecolor="#ffffff")
    if chart.limit is not None:
        handles[chart.limit[1]] = Line2D([], [], color=_WARNING, linestyle="--", label=chart.limit[1])
    return list(handles.values())


def _scale(axes: Axes, which: Literal["x", "y"], wanted: Axis) -> None:
    """Label one direction, and choose its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set(**{f"{which}label": wanted.label})
    if wanted.starts_at_zero:
        axes.set(**{f"{which}lim": (0, None)})
    if not wanted.is_log:
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    for locator in (LogLocator(subs=(1, 2, 5)), LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)), MaxNLocator(5)):
        axis.set_major_locator(locator)
        low, high = axis.get_view_interval()
        if sum(low <= tick <= high for tick in axis.get_majorticklocs()) > 2:
            break
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _label(axes: Axes, chart: Chart) -> None:
    """Write labels where they cover no mark and no other label, and no line if that can be; else leave them out."""
    from matplotlib.transforms import Bbox

    lines, taken = list[Bbox](), list[Bbox]()
    for series in chart.series:
        places = axes.transData.transform([mark.at for mark in series.marks])
        taken += [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in places] if series.has_dots else []
        if series.is_line:
            lines += [Bbox([a, b]) for pair in itertools.pairwise(places) for a, b in itertools.pairwise(_cut(*pair))]
    for mark in (mark for series in chart.series for mark in series.marks if mark.label):
        box = _write(axes, mark, (*taken, *lines)) or _write(axes, mark, taken)
        taken += [] if box is None else [box]


def _cut(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line in pieces so short that their boxes cover little else. (2,), (2,) -> (25, 2)."""
    return np.linspace(start, end, 25)


def _write(axes: Axes, mark: Mark, taken: Sequence[Bbox]) -> Bbox | None:
    """Write a label at the first of :data:`_PLACES` that is free; None if none is."""
    for x, y, horizontal, vertical in _PLACES:
        text = axes.annotate(
            mark.label,
            mark.at,
            xytext=(x, y),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=8.5,
            color=_INK,
            in_layout=False,
        )
        box = text.get_window_extent()
        is_inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
        if is_inside and not any(box.overlaps(other) for other in taken):
            return box
        text.remove()
    return None
