"""An evaluation as a page that needs no other file: the figures, the confusion matrix, and the worst confusions."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2

from edge.errors import ImageError
from edge.evaluation.picture_answer import PictureAnswer
from edge.evaluation.result import ClassResult, Confusion, Evaluation
from edge.files import write_atomically
from edge.text import clean
from edge.vision.images import read_image

__all__ = ["MOST_CLASSES", "class_cells", "matrix_axes", "write_page"]

MOST_CLASSES: Final = 40
"""A confusion matrix has no more rows: those of the classes that are confused most."""
_MOST_GROUPS, _MOST_EACH, _SIDE = 20, 6, 128
_STYLE: Final = """
body{font-family:sans-serif;margin:1rem auto;padding:0 1rem;max-width:70rem;color:#222;line-height:1.4}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
.matrix td{min-width:1.6rem;text-align:center;border:1px solid #eee}
.matrix thead th{writing-mode:vertical-rl;text-align:left;vertical-align:bottom}
figure{display:inline-block;margin:.3rem;width:8rem;vertical-align:top}
figure img{width:8rem;height:8rem;object-fit:contain;background:#f3f3f3}
figcaption{font-size:.8rem;overflow-wrap:anywhere}
""".strip()


def matrix_axes(evaluation: Evaluation) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """The rows and columns that a confusion matrix shows: classes by number, None for nothing and for unknown."""
    shown = {one.shown for one in evaluation.answers}
    rows: list[int] = [number for number in shown if number is not None]
    if len(rows) > MOST_CLASSES:
        wrong = {number: 0 for number in rows}
        for group in evaluation.confusions:
            if group.shown is not None:
                wrong[group.shown] += len(group.pictures)
        rows = sorted(rows, key=lambda number: -wrong[number])[:MOST_CLASSES]
    chosen = set(rows)
    named = {group.answer for group in evaluation.confusions if group.shown in chosen or group.shown is None}
    columns = sorted({*rows, *(number for number in named if number is not None)})[: 2 * MOST_CLASSES]
    has_unknown = any(one.is_unknown for one in evaluation.answers)
    return (*sorted(rows), *([None] if None in shown else [])), (*columns, *([None] if has_unknown else []))


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Write the page, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    title = _text(f"{evaluation.model} on {evaluation.measured_on}")
    head = (
        f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}\n</style>"
    )
    findings = "\n".join(f"<li>{_text(finding)}</li>" for finding in evaluation.findings())
    top = f"<h1>{title}</h1>\n<ul>\n{findings}\n</ul>"
    body = "\n".join((top, _classes(evaluation), _matrix(evaluation), *_worst(evaluation)))
    page = f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    write_atomically(path, page)


def class_cells(one: ClassResult) -> tuple[str, ...]:
    """One class in a table: its label, pictures, recall and precision with their 95 % intervals, in percent."""
    return (
        one.label,
        str(one.pictures),
        _percent(one.recall),
        _span(one.recall_range) if one.pictures else "",
        str(one.answers),
        _percent(one.precision),
        _span(one.precision_range) if one.answers else "",
        str(one.unknown),
    )


def _classes(evaluation: Evaluation) -> str:
    names = ("class", "pictures", "recall %", "95 %", "named for", "precision %", "95 %", "unknown")
    rows = [class_cells(one) for one in evaluation.classes]
    lines = [f"<tr>{''.join(f'<th>{_text(name)}</th>' for name in names)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return "<h2>Classes</h2>\n" + _scroll("<table>\n{}\n</table>".format("\n".join(lines)))


def _matrix(evaluation: Evaluation) -> str:
    rows, columns = matrix_axes(evaluation)
    heads = "".join(f"<th>{_text(evaluation.name_of_answer(column))}</th>" for column in columns)
    lines = []
    for row, counts in zip(rows, evaluation.matrix(rows, columns), strict=True):
        total = max(1, sum(counts))
        cells = zip(columns, counts, strict=True)
        shaded = "".join(
            _cell(count, count / total, is_right=evaluation.is_right(row, column)) for column, count in cells
        )
        lines.append(f"<tr><th>{_text(evaluation.name_of(row))}</th>{shaded}</tr>")
    table = '<table class="matrix">\n<thead><tr><th>shown \\ named</th>{}</tr></thead>\n{}\n</table>'
    return "<h2>Confusions</h2>\n" + _scroll(table.format(heads, "\n".join(lines)))


def _cell(count: int, share: float, *, is_right: bool) -> str:
    colour = f"rgba({'30,130,60' if is_right else '190,30,30'},{0.15 + 0.6 * share:.2f})"
    return f'<td style="background:{colour}">{count}</td>' if count else "<td></td>"


def _worst(evaluation: Evaluation) -> Iterator[str]:
    groups = evaluation.confusions[:_MOST_GROUPS]
    if groups:
        yield "<h2>The worst, surest first</h2>"
    for group in groups:
        yield _group(evaluation, group)


def _group(evaluation: Evaluation, group: Confusion) -> str:
    shown, named = evaluation.name_of(group.shown), evaluation.name_of_answer(group.answer)
    title = f"{shown} taken for {named}: {len(group.pictures)}"
    return f"<h3>{_text(title)}</h3>\n" + "\n".join(_figures(evaluation, group.pictures[:_MOST_EACH]))


def _figures(evaluation: Evaluation, pictures: Sequence[PictureAnswer]) -> Iterator[str]:
    for one in pictures:
        best = f"{evaluation.labels[one.best]} {one.probability:.0%}"
        caption = f"{one.path.name}: {best}"
        yield f'<figure><img alt="" src="{_thumbnail(one.path)}"><figcaption>{_text(caption)}</figcaption></figure>'


def _thumbnail(path: Path) -> str:
    """The picture as a small JPEG in a ``data:`` address; empty where it is gone by now."""
    try:
        frame = read_image(path)
    except ImageError:
        return ""
    scale = _SIDE / max(frame.shape[:2])
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(packed).decode()}"


def _scroll(table: str) -> str:
    return f'<div class="scroll">{table}</div>'


def _text(text: str) -> str:
    return escape(clean(text))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"


def _span(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f}"
