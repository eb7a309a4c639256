"""A confusion matrix as a PNG or SVG picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from edge.errors import OutputError
from edge.files import check_parent, write_atomically
from edge.plot.figure import need_matplotlib
from edge.text import clean

__all__ = ["check_confusion_plot", "write_confusions"]

_CELL_IN, _BESIDE_IN = 0.32, 2.6
_DARK: Final = 0.6
"""The share from which on a cell is too dark for black figures."""
_LONGEST: Final = 24
"""Letters of a label."""


def check_confusion_plot(path: Path) -> None:
    """Refuse a file that a matrix cannot be drawn to, before work is spent on it.

    Raises:
        OutputError: Its name does not end in .png or .svg, its folder is missing, or matplotlib is.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise OutputError(f"Cannot draw {path}: expected a name that ends in .png or .svg.")
    check_parent(path)
    need_matplotlib()


def write_confusions(
    counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], path: Path, *, title: str
) -> None:
    """Draw how many pictures of each row were given each column's answer, shaded by the row's shares.

    Raises:
        OutputError: The file cannot be written, or matplotlib is not installed.
    """
    check_confusion_plot(path)
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = np.array(counts, float).reshape(len(rows), len(columns))
    size_in = (_BESIDE_IN + _CELL_IN * len(columns), _BESIDE_IN + _CELL_IN * len(rows))
    content = io.BytesIO()
    with style.context(["default", {"text.parse_math": False, "svg.hashsalt": "edge"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font does not have
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        shares = values / np.maximum(1, values.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.2)
        axes.set_title(clean(title), loc="left", fontsize=10)
        axes.set(xlabel="named", ylabel="shown")
        axes.set_xticks(range(len(columns)), [_short(name) for name in columns], rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), [_short(name) for name in rows], fontsize=8)
        for (row, column), count in np.ndenumerate(values):
            if count:
                ink = "white" if shares[row, column] > _DARK else "black"
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=ink)
        kind = path.suffix.lower()[1:]
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    write_atomically(path, content.getvalue())


def _short(name: str) -> str:
    name = clean(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
