"""Tables 1 to 9 of the paper and the networks of its Figures 4 and 5: what is printed, beside what our networks have.

The paper counts weights: neither the classifier's bias nor batch norm. Where a printed figure is not the count rounded
to as many digits, a reading that gives it is looked for and given; none is left without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

import torch
from torch import nn

from convert.complexity import LayerCost, layer_costs
from convert.model import MobileNetV1, ModelConfig
from convert.paper.networks import Body, separable
from edge.bundles.variant import ALPHAS, RESOLUTIONS, Variant

__all__ = ["Cell", "Row", "Table", "printed", "recomputed"]

Status = Literal["equal", "explained", "different", "cited", "computed"]
_LABELS: Final = ("mult-adds M", "params M")
WITHOUT_CLASSIFIER: Final = "is the count without the classifier's {:,} mult-adds: {:,}"
_SWAPPED: Final = "two digits swapped: the column sums to {:.2f} as printed, to 100 with what is computed"
_LAST_STRIDE: Final = "printed with stride 2 beside a 7x7 output, which only stride 1 gives; TF-slim and Keras use 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure: as printed, and as computed."""

    printed: float | str | None
    computed: float | str | None
    status: Status
    """``equal`` to the last printed digit, ``explained``, ``different``; only ``cited``; only ``computed``."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table, its figures by the names of their columns."""

    label: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    number: str
    caption: str
    rows: tuple[Row, ...]

    @property
    def differing(self) -> list[str]:
        """The rows with a figure that is neither equal nor explained."""
        return [row.label for row in self.rows if any(cell.status == "different" for cell in row.cells.values())]


def printed() -> dict[str, Any]:
    """What the paper prints, and TF-slim's accuracies, as data."""
    values: dict[str, Any] = json.loads((files("convert.paper") / "printed.json").read_text(encoding="utf-8"))
    return values


def recomputed() -> list[Table]:
    """Every table, recomputed. Nothing is trained and nothing but shapes computed: it takes a second or two."""
    tables = printed()["tables"]
    with torch.device("meta"):  # shapes without numbers
        return [
            Table(number=number, caption=tables[number]["caption"], rows=tuple(rows(tables[number]["rows"])))
            for number, rows in _TABLES.items()
        ] + [_figures()]


def _body(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Table 1: each layer's kind, filter, input and stride."""
    layers = layer_costs(MobileNetV1(ModelConfig()), 224)
    for number, (row, layer) in enumerate(zip(rows, layers, strict=True), start=1):
        shape = _filter(layer)
        sides = list(layer.input_shape[1:]) or [1, 1]
        is_known = row["stride"] != layer.stride and number == len(rows) - 2
        yield Row(
            label=f"{number} {row['kind']}",
            cells={
                "filter": _same(_by(row["filter"]), _by(shape)),
                "input": _same(_by(row["input"]), _by([*sides, layer.input_shape[0]])),
                "stride": _same(row["stride"], layer.stride, _LAST_STRIDE if is_known else ""),
            },
        )


def _filter(layer: LayerCost) -> list[int]:
    """As the paper writes it: 3 x 3 x in x out, 3 x 3 x channels for a depthwise layer."""
    out, inputs, *sides = layer.weight_shape
    return [*sides, out] if layer.kind == "depthwise" else [*sides, inputs, out]


def _shares(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Table 2: percent of the mult-adds and of the parameters in each kind of layer."""
    layers = layer_costs(MobileNetV1(ModelConfig()), 224)
    readings: tuple[tuple[str, str, Callable[[LayerCost], int]], ...] = (
        ("mult-adds %", "mult_adds_percent", lambda layer: layer.mult_adds),
        ("params %", "params_percent", lambda layer: layer.weights),
    )
    for row in rows:
        cells = {}
        for heading, key, read in readings:
            share = 100 * sum(read(n) for n in layers if n.kind == row["kind"]) / sum(map(read, layers))
            is_swapped = sorted(f"{share:.2f}") == sorted(f"{row[key]:.2f}")
            why = _SWAPPED.format(sum(other[key] for other in rows)) if is_swapped else ""
            cells[heading] = _number(row[key], share, why)
        yield Row(label=row["label"], cells=cells)


def _one_layer(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Table 3: one layer of 512 channels at 14x14, each row with one more change to it."""
    plain, narrow = ModelConfig(), ModelConfig(alpha=0.75)
    full = nn.Sequential(nn.Conv2d(512, 512, 3, padding=1, bias=False))
    wide = separable(plain, 512, 512, 1)
    thin = separable(narrow, plain.width(384), plain.width(384), 1)
    for row, (layer, side) in zip(rows, ((full, 14), (wide, 14), (thin, 14), (thin, 10)), strict=True):
        channels = next(p.shape[0] for p in layer.parameters())
        yield Row(label=row["label"], cells=_costs(row, layer_costs(layer, side, channels)))


def _networks(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Tables 4 to 9: accuracy as printed, mult-adds and parameters of ours; others' networks are only cited."""
    for row in rows:
        made = _network(row["label"])
        cited = {"top-1 %": Cell(printed=row["top1"], computed=None, status="cited")}
        yield Row(label=row["label"], cells=cited | _costs(row, None if made is None else layer_costs(*made)))


def _network(label: str) -> tuple[nn.Module, int] | None:
    """Our network of that name and its resolution; None for another family's."""
    if label == "Conv MobileNet":
        return Body(ModelConfig(), is_separable=False), 224
    if label == "Shallow MobileNet":
        return Body(ModelConfig(), is_shallow=True), 224
    alpha, is_ours, side = label.partition("MobileNet")
    if not is_ours:
        return None
    return MobileNetV1(ModelConfig(alpha=float(alpha or 1))), int(side.removeprefix("-") or 224)


def _figures() -> Table:
    """The sixteen networks of Figures 4 and 5, which print no numbers: TF-slim's accuracy is cited for each."""
    accuracy = {Variant(row["alpha"], row["resolution"]): row["top1"] for row in printed()["slim"]["rows"]}
    rows = []
    for alpha in ALPHAS:
        model = MobileNetV1(ModelConfig(alpha=alpha))
        for side in RESOLUTIONS:
            layers = layer_costs(model, side)
            values = (sum(layer.mult_adds for layer in layers) / 1e6, sum(layer.weights for layer in layers) / 1e6)
            cells = {"top-1 %": Cell(printed=accuracy[Variant(alpha, side)], computed=None, status="cited")}
            cells |= {
                name: Cell(printed=None, computed=round(value, 6), status="computed")
                for name, value in zip(_LABELS, values, strict=True)
            }
            rows.append(Row(label=f"{alpha:g} MobileNet-{side}", cells=cells))
    return Table(
        number="Figures 4 and 5", caption="Sixteen networks; top-1 of TF-slim's, not printed there", rows=tuple(rows)
    )


def _costs(row: Mapping[str, Any], layers: Sequence[LayerCost] | None) -> dict[str, Cell]:
    """A row's mult-adds and parameters; only cited where there are no layers of ours."""
    keys = dict(zip(_LABELS, ("mult_adds_millions", "params_millions"), strict=True))
    if layers is None:
        return {name: Cell(printed=row[key], computed=None, status="cited") for name, key in keys.items()}
    mult_adds = sum(layer.mult_adds for layer in layers)
    last = sum(layer.mult_adds for layer in layers if layer.kind == "classifier")
    explains = last and _rounds_to((mult_adds - last) / 1e6, row["mult_adds_millions"])
    why = WITHOUT_CLASSIFIER.format(last, mult_adds - last) if explains else ""
    return {
        _LABELS[0]: _number(row["mult_adds_millions"], mult_adds / 1e6, why),
        _LABELS[1]: _number(row["params_millions"], sum(layer.weights for layer in layers) / 1e6, ""),
    }


def _number(printed: float, found: float, why: str) -> Cell:
    if _rounds_to(found, printed):
        return Cell(printed=printed, computed=round(found, 6), status="equal")
    return Cell(printed=printed, computed=round(found, 6), status="explained" if why else "different", why=why)


def _same(printed: float | str, found: float | str, why: str = "") -> Cell:
    status: Status = "equal" if printed == found else "explained" if why else "different"
    return Cell(printed=printed, computed=found, status=status, why="" if status == "equal" else why)


def _rounds_to(value: float, printed: float) -> bool:
    """Whether ``value`` is ``printed`` when rounded to as many decimals."""
    decimals = len(repr(printed).partition(".")[2]) if isinstance(printed, float) else 0
    return abs(round(value, decimals) - printed) < 1e-9


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


_TABLES: Final[Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Iterator[Row]]]] = {
    "1": _body,
    "2": _shares,
    "3": _one_layer,
    **dict.fromkeys("456789", _networks),
}
