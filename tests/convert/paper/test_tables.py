import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from convert.cli.app import build
from convert.complexity import layer_costs
from convert.model import ModelConfig
from convert.paper import Cell, Table, recomputed
from convert.paper.networks import Body
from convert.paper.tables import printed


@pytest.fixture(scope="module")
def tables() -> Mapping[str, Table]:
    return {table.number: table for table in recomputed()}


def cell(tables: Mapping[str, Table], number: str, label: str, column: str) -> Cell:
    return next(row for row in tables[number].rows if row.label == label).cells[column]


def test_every_printed_figure_is_equal_or_explained(tables: Mapping[str, Table]) -> None:
    assert [table.number for table in tables.values()] == [*"123456789", "Figures 4 and 5"]
    assert not [label for table in tables.values() for label in table.differing]


def test_just_these_figures_need_an_explanation(tables: Mapping[str, Table]) -> None:
    explained = {
        (table.number, row.label, name): figure.why
        for table in tables.values()
        for row in table.rows
        for name, figure in row.cells.items()
        if figure.status == "explained"
    }
    assert {key: why.partition(":")[0] for key, why in explained.items()} == {
        (
            "1",
            "26 depthwise",
            "stride",
        ): "printed with stride 2 beside a 7x7 output, which only stride 1 gives; TF-slim and Keras use 1",
        ("2", "Conv 3x3", "mult-adds %"): "two digits swapped",
        ("4", "Conv MobileNet", "mult-adds M"): "is the count without the classifier's 1,024,000 mult-adds",
        ("7", "1.0 MobileNet-160", "mult-adds M"): "is the count without the classifier's 1,024,000 mult-adds",
        ("9", "0.50 MobileNet-160", "mult-adds M"): "is the count without the classifier's 512,000 mult-adds",
    }


def test_the_networks_of_others_are_only_cited(tables: Mapping[str, Table]) -> None:
    for label in ("GoogleNet", "VGG 16"):
        assert {c.status for c in next(r for r in tables["8"].rows if r.label == label).cells.values()} == {"cited"}


@pytest.mark.parametrize(
    ("number", "label", "column", "value"),
    [
        ("4", "Conv MobileNet", "mult-adds M", 4867.293184),
        ("5", "Shallow MobileNet", "mult-adds M", 307.323392),
        ("5", "Shallow MobileNet", "params M", 2.875328),
        ("Figures 4 and 5", "0.25 MobileNet-128", "mult-adds M", 13.570048),
    ],
)
def test_figures_are_those_of_counting_by_hand(
    tables: Mapping[str, Table], number: str, label: str, column: str, value: float
) -> None:
    assert cell(tables, number, label, column).computed == value


def test_accuracy_is_log_linear_in_mult_adds(tables: Mapping[str, Table]) -> None:
    rows = tables["Figures 4 and 5"].rows
    logs = [math.log2(float(row.cells["mult-adds M"].computed or 0)) for row in rows]
    slope, offset = np.polyfit(logs, [float(row.cells["top-1 %"].printed or 0) for row in rows], 1)
    assert (round(slope, 2), round(offset, 2)) == (5.75, 21.24)


def test_the_printed_figures_are_those_of_the_reference(shared_data: Path) -> None:
    reference = json.loads((shared_data.parent / "reference/paper_tables.json").read_text())["mobilenets_paper"][
        "tables"
    ]
    for number in "456789":
        for ours, theirs in zip(printed()["tables"][number]["rows"], reference[number]["rows"], strict=True):
            assert (ours["label"], ours["mult_adds_millions"]) == (theirs["model"], theirs["mult_adds_millions"])
            assert (ours["top1"], ours["params_millions"]) == (theirs["top1"], theirs["params_millions"])


def test_a_shallow_body_lacks_the_five_alike_blocks() -> None:
    deep, shallow = (layer_costs(Body(ModelConfig(), is_shallow=s), 224) for s in (False, True))
    assert len(deep) - len(shallow) == 10
    assert [n.input_shape for n in shallow][12:14] == [(256, 14, 14), (512, 14, 14)]


def test_the_command_prints_every_table_and_json() -> None:
    told = CliRunner().invoke(build(), ["paper"]).stdout
    assert "Table 9: Smaller MobileNet, comparison to popular models" in told
    assert told.splitlines()[-1] == "123 figures equal, 5 figures explained, 0 figures different"
    assert [table["number"] for table in json.loads(CliRunner().invoke(build(), ["paper", "--json"]).stdout)][
        -1
    ] == "Figures 4 and 5"
