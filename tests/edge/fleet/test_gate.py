"""The gate of a release, as a channel's file holds it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edge.fleet.health import Gate
from edge.typed_json import from_json


def test_an_empty_object_is_a_gate() -> None:
    assert from_json(Gate, {}) == Gate()


def test_a_gate_is_read_from_json() -> None:
    gate = from_json(Gate, {"minutes": 5, "max_late_share": 0.2, "without_camera": "roll_back"})
    assert (gate.minutes, gate.max_late_share, gate.without_camera) == (5, 0.2, "roll_back")


@pytest.mark.parametrize(
    "values",
    [
        {"minutes": 0},
        {"max_late_share": 1.5},
        {"max_late_share": math.nan},
        {"p95_over_profile": 0.5},
        {"max_restarts": -1},
        {"before_hours": 1000},
        {"unknown_over_before": -0.1},
        {"without_camera": "perhaps"},
        {"minuts": 5},
        {"minutes": "5"},
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"expected|unknown key"):
        from_json(Gate, values)
