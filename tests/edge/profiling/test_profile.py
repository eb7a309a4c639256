"""Profiles: written, read back, and refused when a figure cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.variant import Variant
from edge.errors import OutputError, ProfileError
from edge.paths import AnyPath
from edge.profiling.latency import Latency
from edge.profiling.profile import HeatPoint, LatencyProfile, ProfileRow, load_profile
from tests.edge.conftest import damaged, make_profile

PROFILE = make_profile({"1.00_224": 70.0, "0.25_128": 4.0})
WHOLE: dict[str, Any] = json.loads(json.dumps(PROFILE.to_dict()))
AGAIN = "Measure it again."
MAY_LACK = ("source", "cpus", "sustained", "load_percent")


def complaint(path: Path, values: Any) -> str:
    path.write_text(json.dumps(values))
    with pytest.raises(ProfileError) as refused:
        load_profile(path)
    return str(refused.value)


def with_row(**changes: Any) -> dict[str, Any]:
    """The whole profile with changes to its first row."""
    rows = [WHOLE["variants"][0] | changes, *WHOLE["variants"][1:]]
    return WHOLE | {"variants": rows}


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


class TestFiles:
    @pytest.mark.parametrize("kind", [Path, str])
    def test_a_profile_reads_back(self, tmp_path: Path, kind: Callable[[Path], AnyPath]) -> None:
        profile = replace(PROFILE, valid=False, objections=("The board reports throttled now.",), source="somebody")
        profile.save(kind(tmp_path / "profile.json"))
        assert load_profile(kind(tmp_path / "profile.json")) == profile

    def test_its_json_begins_with_the_schema_version_and_ends_with_the_variants(self) -> None:
        assert next(iter(WHOLE)) == "schema_version"
        assert list(WHOLE)[-1] == "variants"
        assert WHOLE["variants"][0]["variant"] == "mobilenet_v1_1.00_224"

    def test_rows_are_found_by_variant(self) -> None:
        assert PROFILE.find(Variant(0.25, 128)) is PROFILE.rows[1]
        assert PROFILE.find(Variant(0.5, 128)) is None

    def test_a_row_may_say_that_it_was_predicted(self, tmp_path: Path) -> None:
        (tmp_path / "profile.json").write_text(json.dumps(with_row(source="predicted")))
        assert load_profile(tmp_path / "profile.json").rows[0].provenance == "predicted"

    def test_a_folder_that_cannot_be_written_is_an_output_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="there is no folder"):
            PROFILE.save(tmp_path / "no" / "profile.json")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "no.json"
        with pytest.raises(ProfileError) as refused:
            load_profile(path)
        assert str(refused.value) == f"Cannot read latency profile {path}: no such file or directory."

    def test_a_file_that_is_no_json_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "profile.json"
        path.write_text("variant,ms\n")
        with pytest.raises(ProfileError) as refused:
            load_profile(path)
        assert str(refused.value) == (
            f"Latency profile {path} is not JSON (Expecting value: line 1 column 1 (char 0)): "
            "the file is damaged or cut short."
        )

    @pytest.mark.parametrize(
        ("version", "shown", "advice"),
        [
            (3, "3", "update mobilenet-edge."),
            (1, "1", "measure it again."),
            ("new", "'new'", "measure it again."),
        ],
    )
    def test_another_schema_is_refused_with_the_way_out(
        self, tmp_path: Path, version: Any, shown: str, advice: str
    ) -> None:
        path = tmp_path / "profile.json"
        assert complaint(path, WHOLE | {"schema_version": version}) == (
            f"Latency profile {path} has schema {shown}, this version reads 2: {advice}"
        )

    @pytest.mark.parametrize("key", [key for key in WHOLE if key not in ("schema_version", *MAY_LACK)])
    def test_what_is_missing_is_named(self, tmp_path: Path, key: str) -> None:
        path = tmp_path / "profile.json"
        assert complaint(path, without(WHOLE, key)) == (f"Latency profile {path} lacks '{key}': measure it again.")

    @pytest.mark.parametrize("key", ["variant", "source", "avg_ms"])
    def test_what_every_row_needs_is_named(self, tmp_path: Path, key: str) -> None:
        path = tmp_path / "profile.json"
        assert complaint(path, WHOLE | {"variants": [without(WHOLE["variants"][0], key)]}) == (
            f"Latency profile {path} lacks 'variants[0].{key}': measure it again."
        )

    @pytest.mark.parametrize("key", ["p95_ms", "median_low_ms", "infer_ms", "peak_rss_mb", "model_sha256"])
    def test_what_a_measured_row_cannot_lack_makes_it_none(self, tmp_path: Path, key: str) -> None:
        values = WHOLE | {"variants": [without(WHOLE["variants"][0], key)]}
        cause = "mobilenet_v1_1.00_224 is marked as measured, but lacks figures that every measurement has"
        assert cause in complaint(tmp_path / "profile.json", values)

    def test_a_published_row_may_lack_all_but_its_mean(self, tmp_path: Path) -> None:
        row = ProfileRow(variant=Variant(0.5, 160), latency=Latency(avg_ms=6.5), provenance="published")
        profile = replace(PROFILE, rows=(row,), source="somebody", threads=None, frame_size=None)
        profile.save(tmp_path / "profile.json")
        assert load_profile(tmp_path / "profile.json") == profile
        assert row.to_dict() == {"variant": "mobilenet_v1_0.50_160", "source": "published", "avg_ms": 6.5}

    def test_a_sustained_run_reads_back(self, tmp_path: Path) -> None:
        course = (HeatPoint(at_s=1.0, slowdown=1.0), HeatPoint(at_s=2.5, slowdown=1.2, temperature_c=61.0))
        profile = replace(PROFILE, sustained=course, cpus=(4, 5), load_percent=2.5)
        profile.save(tmp_path / "profile.json")
        assert load_profile(tmp_path / "profile.json") == profile

    @pytest.mark.parametrize(
        ("values", "cause"),
        [
            (with_row(avg_ms=-1), "avg_ms is -1: expected a number of milliseconds"),
            (with_row(std_ms=float("nan")), "std_ms is nan: expected a number of milliseconds"),
            (with_row(max_ms=float("inf")), "max_ms is inf: expected a number of milliseconds"),
            (with_row(init_ms=True), "variants[0].init_ms is true: expected a number"),
            (with_row(init_ms="5"), 'variants[0].init_ms is "5": expected a number'),
            (with_row(p95_ms=10**400), f"variants[0].p95_ms is 1{'0' * 39}: expected a number"),
            (with_row(p95_ms=1.0), "percentiles must rise: min to max are 56, 57.4, 63, 66.5, 1, 77, 105 ms"),
            (with_row(median_ms=50.0), "percentiles must rise: min to max are 56, 57.4, 50, 66.5, 70, 77, 105 ms"),
            (with_row(num_runs=0), "num_runs is 0: expected at least one"),
            (with_row(num_runs=2.5), "variants[0].num_runs is 2.5: expected a whole number"),
            (with_row(infer_ms=-1), "infer_ms of mobilenet_v1_1.00_224 is -1: expected a number of at least 0"),
            (
                with_row(energy_mj=float("nan")),
                "energy_mj of mobilenet_v1_1.00_224 is nan: expected a number of at least 0",
            ),
            (with_row(num_threads=0), "num_threads of mobilenet_v1_1.00_224 is 0: expected at least 1"),
            (with_row(speed=3), "unknown key 'variants[0].speed'"),
            (WHOLE | {"sustained": [{"at_s": -1, "slowdown": 1}]}, "sustained holds an impossible point, at -1 s"),
            (WHOLE | {"load_percent": -5}, "load_percent is -5: expected a number of at least 0"),
            (
                with_row(source="guessed"),
                'variants[0].source is "guessed": expected one of measured, published, predicted',
            ),
            (with_row(source="published"), "published figures lack the source of the profile: who published them"),
            (with_row(variant="mobilenet_v1_0.25_128"), "duplicate variant mobilenet_v1_0.25_128"),
            (
                with_row(variant="fast one"),
                "'fast one' names no variant: expected mobilenet_v1_<α>_<ρ>, e.g. mobilenet_v1_0.50_160",
            ),
            (with_row(variant=5), "variants[0].variant is 5: expected printable text"),
            (WHOLE | {"threads": 0}, "threads is 0: expected at least 1"),
            (WHOLE | {"threads": "4"}, 'threads is "4": expected a whole number'),
            (WHOLE | {"threads": True}, "threads is true: expected a whole number"),
            (WHOLE | {"valid": 1}, "valid is 1: expected true or false"),
            (WHOLE | {"device": []}, "device is []: expected an object"),
            (WHOLE | {"after": None}, "after is null: expected an object"),
            (WHOLE | {"device": {"board": 5}}, "device.board is 5: expected text"),
            (WHOLE | {"before": {"temperature_c": "51"}}, 'before.temperature_c is "51": expected a number'),
            (WHOLE | {"objections": [1]}, "objections[0] is 1: expected text"),
            (WHOLE | {"objections": "none"}, 'objections is "none": expected a list'),
            (WHOLE | {"variants": {}}, "variants is {}: expected a list"),
            (WHOLE | {"bundle": 5}, "bundle is 5: expected text"),
            (WHOLE | {"source": 5}, "source is 5: expected text"),
            (WHOLE | {"valid": False}, "valid is false, which contradicts 0 objections"),
            (WHOLE | {"objections": ["The clock fell."]}, "valid is true, which contradicts 1 objections"),
            (WHOLE | {"frame_size": [640]}, "frame_size is [640]: expected a list of 2"),
            (WHOLE | {"frame_size": [640, 0]}, "frame_size is [640, 0]: expected a width and a height in pixels"),
        ],
    )
    def test_what_is_impossible_is_described(self, tmp_path: Path, values: Any, cause: str) -> None:
        path = tmp_path / "profile.json"
        assert complaint(path, values) == f"Latency profile {path} cannot be used: {cause}. {AGAIN}"

    def test_an_unknown_key_is_refused(self, tmp_path: Path) -> None:
        assert "unknown key 'fps'" in complaint(tmp_path / "profile.json", WHOLE | {"fps": 30})

    @given(values=damaged(WHOLE))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_a_damaged_file_is_a_profile_or_a_profile_error(self, tmp_path: Path, values: dict[str, Any]) -> None:
        path = tmp_path / "profile.json"
        path.write_text(json.dumps(values))
        try:
            profile = load_profile(path)
        except ProfileError as refused:
            assert str(path) in str(refused)
        else:
            assert isinstance(profile, LatencyProfile)
            assert profile.frame_size is None or len(profile.frame_size) == 2
            assert isinstance(profile.device, Device) and isinstance(profile.after, Health)
