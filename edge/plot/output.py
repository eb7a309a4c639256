"""Write charts to a file: PNG, SVG, or an HTML page that needs no other file and can be read on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from edge.errors import OutputError
from edge.files import check_parent, write_atomically
from edge.plot.chart import Chart
from edge.plot.figure import need_matplotlib, png, svg

__all__ = ["check_plot", "write_charts"]

_PNG, _SVG, _HTML = (".png",), (".svg",), (".html", ".htm")
_WIDE_IN, _NARROW_IN = 8.0, 4.2
"""Widths of a chart: in a file and on a screen; on a phone."""
_STYLE: Final = """
body{font-family:sans-serif;margin:1rem auto;padding:0 1rem;max-width:50rem;color:#222;line-height:1.4}
svg{display:block;width:100%;height:auto;margin:1rem 0}
.narrow{display:none}
@media(max-width:40rem){.wide{display:none}.narrow{display:block}}
.table{overflow-x:auto}
table{border-collapse:collapse}
th,td{padding:.2rem .8rem .2rem 0;text-align:left;white-space:nowrap}
""".strip()


def check_plot(path: Path) -> None:
    """Refuse a file that charts cannot be written to, before work is spent on them.

    Raises:
        OutputError: Its name does not end in .png, .svg or .html, its folder is missing, or matplotlib is.
    """
    if path.suffix.lower() not in _PNG + _SVG + _HTML:
        raise OutputError(f"Cannot draw {path}: expected a name that ends in .png, .svg or .html.")
    check_parent(path)
    need_matplotlib()


def write_charts(charts: Sequence[Chart], path: Path, *, title: str, notes: Sequence[str] = ()) -> None:
    """Draw charts one below the other, atomically.

    Args:
        charts: What to draw.
        path: A ``.png``, ``.svg`` or ``.html``.
        title: The page's.
        notes: Lines below a page's title: how the figures came about.

    Raises:
        OutputError: There are no charts, the file cannot be written, or matplotlib is not installed.
    """
    check_plot(path)
    if not charts:
        raise OutputError(f"Cannot draw {path}: there is nothing to draw. Name a bundle: its accuracies can be.")
    kind = path.suffix.lower()
    if kind in _HTML:
        write_atomically(path, _page(charts, title, notes))
    else:
        write_atomically(path, png(charts, _WIDE_IN) if kind in _PNG else svg(charts, _WIDE_IN))


def _page(charts: Sequence[Chart], title: str, notes: Sequence[str]) -> str:
    viewport = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<meta charset="utf-8">\n{viewport}\n<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>'
    lines = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    parts = "\n".join(_part(chart, number) for number, chart in enumerate(charts))
    body = f"<h1>{escape(title)}</h1>\n{lines}{parts}"
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _part(chart: Chart, number: int) -> str:
    """A chart in two widths, of which the page shows the one that fits, and its figures as a table."""
    pictures = (
        f'<div class="{name}">{svg([chart], width_in, f"{name}-{number}-")}</div>'
        for name, width_in in (("wide", _WIDE_IN), ("narrow", _NARROW_IN))
    )
    return "\n".join((*pictures, _table(chart)))


def _table(chart: Chart) -> str:
    """The values of all marks that have a name; empty if none has."""
    rows = [
        (mark.name, f"{mark.at[0]:.4g}", f"{mark.at[1]:.4g}", series.name, chart.hollow if mark.is_hollow else "")
        for series in chart.series
        for mark in series.marks
        if mark.name
    ]
    if not rows:
        return ""
    lines = [_row("th", ("", chart.x.label, chart.y.label, "", "")), *(_row("td", row) for row in rows)]
    table = '<div class="table"><table>\n{}\n</table></div>'.format("\n".join(lines))
    return f"<details>\n<summary>{escape(chart.title)}: the values</summary>\n{table}\n</details>"


def _row(cell: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in texts)}</tr>"
