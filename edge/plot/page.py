"""Write charts to a file: a PNG, or an HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2

from edge.errors import OutputError
from edge.files import check_parent, write_atomically
from edge.plot.canvas import Raster, Svg
from edge.plot.chart import HEIGHT, WIDTH, Chart, render

__all__ = ["check_plot", "write_charts"]

_PNG, _HTML = (".png",), (".html", ".htm")
_STYLE: Final = "body{font-family:sans-serif;margin:1.5rem;color:#222}svg{display:block;margin:1rem 0;max-width:100%}"


def check_plot(path: Path) -> None:
    """Refuse a file that charts cannot be written to, before work is spent on them.

    Raises:
        OutputError: Its ending is neither PNG's nor HTML's, or its folder is missing.
    """
    if path.suffix.lower() not in _PNG + _HTML:
        raise OutputError(f"Cannot draw {path}: expected a name that ends in .png or .html.")
    check_parent(path)


def write_charts(charts: Sequence[Chart], path: Path, *, title: str, notes: Sequence[str] = ()) -> None:
    """Draw charts one below the other, atomically.

    Args:
        charts: What to draw.
        path: A ``.png`` or a ``.html``.
        title: The page's.
        notes: Lines to stand below a page's title: how the figures came about.

    Raises:
        OutputError: The file cannot be written.
    """
    check_plot(path)
    is_page = path.suffix.lower() in _HTML
    write_atomically(path, _page(charts, title, notes) if is_page else _png(charts))


def _png(charts: Sequence[Chart]) -> bytes:
    pictures = []
    for chart in charts:
        canvas = Raster(WIDTH, HEIGHT)
        render(chart, canvas)
        pictures.append(canvas.pixels)
    return bytes(cv2.imencode(".png", cv2.vconcat(pictures))[1])


def _page(charts: Sequence[Chart], title: str, notes: Sequence[str]) -> str:
    elements = []
    for chart in charts:
        canvas = Svg(WIDTH, HEIGHT)
        render(chart, canvas)
        elements.append(canvas.element())
    lines = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    head = f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>'
    body = f"<h1>{escape(title)}</h1>\n{lines}" + "\n".join(elements)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'
