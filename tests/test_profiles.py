"""The schema of latency profiles, and every profile that is shipped."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.board.device import Device, describe
from edge.board.health import Health
from edge.bundles.variant import Variant
from edge.profiling.equal_board import EqualBoard
from edge.profiling.latency import Latency
from edge.profiling.profile import SCHEMA_VERSION, HeatPoint, ProfileRow, load_profile
from tests.edge.conftest import make_profile

FOLDER = Path(__file__).parent.parent / "profiles"
SCHEMA: dict[str, Any] = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
SHIPPED = sorted(path for path in FOLDER.glob("*.json") if path.name != "schema.json")
WHOLE: dict[str, Any] = make_profile({"1.00_224": 70.0, "0.25_128": 4.0}).to_dict()


def faults(values: Any) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(values)]


def properties(node: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that the schema describes, but for the conditions."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
    for name, child in node.get("$defs", {}).items():
        yield from properties(child, f"{path}.{name}")


def changed(*keys: Any, value: Any) -> dict[str, Any]:
    values: Any = copy.deepcopy(WHOLE)
    place = values
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    result: dict[str, Any] = values
    return result


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize(("path", "node"), list(properties(SCHEMA)))
def test_every_field_is_described_with_its_unit(path: str, node: dict[str, Any]) -> None:
    text = node.get("description") or SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]["description"]
    units = {"_ms": "milliseconds", "_mb": "MB of 10^6 bytes", "_mhz": "MHz", "_c": "Celsius", "_percent": "percent"}
    units |= {"_mj": "millijoules", "_w": "watts", "_s": "econds"}
    unit = next((words for ending, words in units.items() if path.endswith(ending)), "")
    assert unit in text


def test_the_schema_knows_every_field_of_the_code_and_no_other() -> None:
    row = {*Latency.__slots__, *ProfileRow.__slots__, "source"} - {"latency", "provenance"}
    assert set(SCHEMA["$defs"]["row"]["properties"]) == row
    assert set(SCHEMA["$defs"]["heat_point"]["properties"]) == set(HeatPoint.__slots__)
    assert set(SCHEMA["$defs"]["health"]["properties"]) == set(Health().to_dict())
    assert set(SCHEMA["$defs"]["device"]["properties"]) == set(Device().to_dict())
    assert set(SCHEMA["$defs"]["equal"]["properties"]) == set(EqualBoard.__slots__)
    assert set(SCHEMA["properties"]) == {*WHOLE, "host", "equal"}


def test_what_the_code_writes_fits_the_schema() -> None:
    assert faults(json.loads(json.dumps(WHOLE))) == []


def test_this_machine_fits_the_schema() -> None:
    looked = Health(temperature_c=50.0, clock_mhz=(1500,), throttle_bits=0x50005, load_percent=3.0)
    profile = make_profile({"0.50_160": 5.0}, device=describe(), before=looked, after=Health())
    assert faults(json.loads(json.dumps(profile.to_dict()))) == []


def test_a_doubtful_profile_and_a_published_one_fit_the_schema() -> None:
    profile = make_profile({"0.50_160": 5.0}, valid=False, objections=("The clock fell.",))
    bare = ProfileRow(variant=Variant(0.5, 160), latency=Latency(avg_ms=5.0), provenance="published")
    published = replace(profile, rows=(bare,), source="https://example.org", threads=None, frame_size=None)
    course = (HeatPoint(at_s=1.0, slowdown=1.0), HeatPoint(at_s=2.0, slowdown=1.1, temperature_c=60.0, clock_mhz=1500))
    taken = EqualBoard(
        host="attic-3", place="a.json", checked=profile.created, tolerance=0.1, ratios={"mobilenet_v1_0.50_160": 1.02}
    )
    others = (replace(profile, equal=taken), replace(profile, host="attic-3"))
    for one in (profile, published, *others, replace(profile, sustained=course, cpus=(4, 5), load_percent=3.0)):
        assert faults(json.loads(json.dumps(one.to_dict()))) == []


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (changed("schema_version", value=1), "$.schema_version"),
        (changed("threads", value=0), "$.threads"),
        (changed("created", value=5), "$.created"),
        (changed("frame_size", value=[640]), "$.frame_size"),
        (changed("objections", value=["The clock fell."]), "$.objections"),
        (changed("valid", value=False), "$.objections"),
        (changed("device", value={}), "$.device"),
        (changed("before", "temperature_c", value="hot"), "$.before.temperature_c"),
        (changed("fps", value=30), "$"),
        (changed("variants", 0, "p95_ms", value=-1), "$.variants[0].p95_ms"),
        (changed("variants", 0, "p95_ms", value="4 ms"), "$.variants[0].p95_ms"),
        (changed("variants", 0, "num_runs", value=0), "$.variants[0].num_runs"),
        (changed("variants", 0, "model_sha256", value="abc"), "$.variants[0].model_sha256"),
        (changed("variants", 0, "variant", value="0.5_160"), "$.variants[0].variant"),
        (changed("variants", 0, "source", value="guessed"), "$.variants[0].source"),
        (changed("variants", 0, "source", value="published"), "$.source"),
        (changed("variants", 0, "speed", value=1), "$.variants[0]"),
        (changed("variants", 0, "avg_ms", value=0), "$.variants[0].avg_ms"),
        (changed("sustained", value=[{"at_s": 1}]), "$.sustained[0]"),
        (changed("variants", 0, value={}), "$.variants[0]"),
        (changed("equal", value={"host": "attic-3"}), "$.equal"),
        (changed("equal", value=None), "$.equal"),
    ],
)
def test_what_the_code_would_never_write_does_not_fit(values: dict[str, Any], where: str) -> None:
    assert where in faults(json.loads(json.dumps(values)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_profile_fits_the_schema_reads_and_names_its_source(path: Path) -> None:
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []
    profile = load_profile(path)
    assert profile.source, "a shipped profile says whose figures it holds"
    assert len(profile.rows) == 16
    assert {row.provenance for row in profile.rows} <= {"published", "measured"}
    assert path.name.startswith(profile.device.board_slug)


def test_the_readme_names_every_field() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    missing = [path for path, _ in properties(SCHEMA) if f"`{path.rpartition('.')[2]}`" not in readme]
    assert missing == []
