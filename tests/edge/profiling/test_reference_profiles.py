"""The profiles that ship, and which one speaks of a board."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.board.device import Device
from edge.bundles.variant import Variant
from edge.errors import ProfileError
from edge.profiling.reference_profiles import nearest_published, published_profiles
from tests.edge.conftest import make_profile


@pytest.mark.parametrize(
    "board",
    [
        "raspberry pi 4",
        "Raspberry Pi 4 Model B Rev 1.4",
        Device(board="Raspberry Pi 4 Model B Rev 1.5"),
        Device(board="Raspberry Pi Compute Module 4 Rev 1.0", cpu="Cortex-A72"),
    ],
)
def test_a_board_or_one_with_its_cores_is_found(board: str | Device) -> None:
    profile = nearest_published(board)
    assert profile.board == "Raspberry Pi 4 Model B"
    assert profile.backend_version == "TFLite 2.4.1 (ruy)"
    row = profile.find(Variant(1.0, 224))
    assert row is not None and row.precision == "uint8"
    assert (row.latency.avg_ms, row.latency.p90_ms, row.provenance) == (30.42, 32.05, "published")


def test_a_jetson_is_found_by_words_of_its_name() -> None:
    assert nearest_published("agx xavier").find(Variant(0.25, 128)).latency.avg_ms == 1.77  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "board", ["raspberry pi 9", "", Device(board="ThinkStation P3", cpu="AMD EPYC 7763"), Device()]
)
def test_a_board_that_nobody_published_is_not_guessed(board: str | Device) -> None:
    with pytest.raises(ProfileError) as refused:
        nearest_published(board)
    assert "expected one of NVIDIA Jetson AGX Xavier, Raspberry Pi 4 Model B. Measure it on the board itself." in str(
        refused.value
    )


def test_a_contributed_measurement_counts_as_published_elsewhere(tmp_path: Path) -> None:
    make_profile({"0.50_160": 5.0}, source="somebody").save(tmp_path / "raspberry-pi-4-model-b.json")
    (row,) = nearest_published("raspberry pi 4", tmp_path).rows
    assert row.provenance == "published"


def test_an_installation_without_profiles_has_none(tmp_path: Path) -> None:
    assert published_profiles(tmp_path) == ()
    with pytest.raises(ProfileError, match="none is installed"):
        nearest_published("raspberry pi 4", tmp_path)
