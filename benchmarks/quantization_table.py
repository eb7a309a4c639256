"""Measurements as tables in Markdown, written between marks of a document."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import TOOLS
from edge.files import write_atomically

__all__ = ["put_table", "span", "write_tables"]

_START: Final = "<!-- {}: this table is written by a program -->\n"
_END: Final = "<!-- end -->"
_Row = dict[str, Any]


def write_tables(rows: Sequence[_Row], document: Path) -> None:
    """Put the rows of ``benchmarks/quantization.py`` into a document as two tables."""
    put_table(document, "tools", _tools(rows))
    put_table(document, "resolutions", _resolutions(rows))


def put_table(document: Path, name: str, table: str) -> None:
    """Replace what stands between the document's marks of that name.

    Raises:
        ValueError: The document has no such marks.
    """
    before, mark, rest = document.read_text(encoding="utf-8").partition(_START.format(name))
    if not mark or _END not in rest:
        raise ValueError(f"{document} has no mark {_START.format(name).strip()!r} with {_END!r} after it.")
    write_atomically(document, f"{before}{mark}{table}{_END}{rest.partition(_END)[2]}")


def span(shares: Sequence[float]) -> str:
    """The mean of shares from 0 to 1, and in brackets the least and the most."""
    least, most = 100 * min(shares), 100 * max(shares)
    return f"{100 * statistics.mean(shares):.1f} %" + (f" ({least:.1f} to {most:.1f})" if len(shares) > 1 else "")


def _tools(rows: Sequence[_Row]) -> str:
    """What each tool does at the largest resolution."""
    largest = max(row["resolution"] for row in rows)
    columns: dict[str, Callable[[list[_Row]], str]] = {
        "tool": lambda of: TOOLS[of[0]["tool"]].title,
        "agreement": lambda of: _span(of, "agreement"),
        "where float is sure": lambda of: _span(of, "confident_agreement"),
        "top-1 − float's": lambda of: _points([row["top1"] - row["float_top1"] for row in of]),
        "divergence": _divergence,
        "file": lambda of: f"{of[0]['size_bytes'] / 1e6:.2f} MB",
        "CPU time": lambda of: f"{of[0]['cpu_seconds']:.0f} s",
        "memory": lambda of: f"{of[0]['peak_mb']:.0f} MB",
        "installed": lambda of: f"{of[0]['installed_mb']:.0f} MB",
        "latency": lambda of: f"{of[0]['latency_ratio']:.2f}" if of[0]["latency_ratio"] else "",
    }
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for of in _by_tool(rows, largest):
        cells = [cell(of) for cell in columns.values()] if of[0]["error"] is None else _failed(of[0], len(columns))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _resolutions(rows: Sequence[_Row]) -> str:
    """Agreement, also where float is sure, top-1 and divergence of each tool at each resolution."""
    sides = sorted({row["resolution"] for row in rows}, reverse=True)
    title = "agreement; where float is sure; top-1 − float's; divergence"
    lines = [f"| {title} | " + " | ".join(f"ρ={side}" for side in sides) + " |"]
    lines.append("|---" * (len(sides) + 1) + "|")
    for name, tool in TOOLS.items():
        cells = []
        for side in sides:
            of = [row for row in rows if (row["tool"], row["resolution"]) == (name, side) and row["error"] is None]
            gains = [row["top1"] - row["float_top1"] for row in of]
            sure = [row["confident_agreement"] for row in of]
            known = [_span(of, "agreement"), _mean(sure), _points(gains), _divergence(of)] if of else []
            cells.append("; ".join(filter(None, known)))
        if any(cells):
            lines.append(f"| {tool.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _by_tool(rows: Sequence[_Row], resolution: int) -> list[list[_Row]]:
    found = ([r for r in rows if (r["tool"], r["resolution"]) == (name, resolution)] for name in TOOLS)
    return [of for of in found if of]


def _span(rows: Sequence[_Row], column: str) -> str:
    return span([row[column] for row in rows])


def _mean(shares: Sequence[float]) -> str:
    return f"{100 * statistics.mean(shares):.1f} %"


def _divergence(rows: Sequence[_Row]) -> str:
    """The mean in nats; nothing where a row was measured without it."""
    found = [row["divergence"] for row in rows if row.get("divergence") is not None]
    return f"{statistics.mean(found):.4f}" if len(found) == len(rows) else ""


def _points(gains: Sequence[float]) -> str:
    return f"{100 * statistics.mean(gains):+.1f}"


def _failed(row: _Row, columns: int) -> list[str]:
    return [TOOLS[row["tool"]].title, f"no file: {row['error']}", *[""] * (columns - 2)]
