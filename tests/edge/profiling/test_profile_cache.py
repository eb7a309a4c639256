"""This machine's own profiles: kept, used again, and measured again when they no longer fit."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from edge.board.device import Device
from edge.board.health import Health
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.inference.backends import BackendReport
from edge.profiling import measure as measuring
from edge.profiling import profile_cache, staleness
from edge.profiling.prediction import predict
from edge.profiling.profile import LatencyProfile, load_profile
from edge.profiling.profile_cache import merged, profile_path, profiles_folder
from edge.profiling.staleness import stale_reason
from edge.profiling.timing import StopRule
from tests.edge.conftest import TOP1, calm_machine, make_bundle, make_manifest, make_profile, write_bundle

BOARD = Device(board="Raspberry Pi 4 Model B Rev 1.4")
CALM = Health(load_percent=1.0)
BECAUSE = "measuring bundle tiny for a moment, because "
FILE = "raspberry-pi-4-model-b--tiny--fake-2.json"


@dataclass
class Desk:
    """Asks for profiles and notes what was measured and announced."""

    folder: Path
    board: Device = BOARD
    health: Health = CALM
    booted_s: float = 0.0
    measured: int = 0
    announced: tuple[str, ...] = ()

    def ask(self, bundle: Bundle, **changes: Any) -> LatencyProfile:
        """A profile of ``bundle``, with the announcements made for it alone."""
        messages: list[str] = []
        wanted: dict[str, Any] = {
            "backend": "fake",
            "threads": 2,
            "stop": StopRule(least_rounds=1, most_s=0.1),
        }
        profile = profile_cache.profile(bundle, announce=messages.append, **wanted | changes)
        self.announced = tuple(messages)
        return profile


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = Desk(tmp_path / "mobilenet-edge/profiles")

    def measure(*args: Any, **kwargs: Any) -> LatencyProfile:
        made.measured += 1
        return measuring.measure(*args, machine=calm_machine(describe=lambda: made.board), **kwargs)

    monkeypatch.setattr(profile_cache, "measure", measure)
    monkeypatch.setattr(profile_cache, "describe", lambda: made.board)
    monkeypatch.setattr(staleness, "read_health", lambda: made.health)
    monkeypatch.setattr(psutil, "boot_time", lambda: made.booted_s)
    return made


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder)


def test_a_machine_without_a_profile_measures_and_keeps_it(desk: Desk, bundle: Bundle) -> None:
    profile = desk.ask(bundle)
    assert desk.announced == (f"{BECAUSE}this machine has no profile of it",)
    assert load_profile(desk.folder / FILE) == profile


def test_two_programs_measure_one_after_the_other_and_once(desk: Desk, bundle: Bundle) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: desk.ask(bundle), range(2))
    assert desk.measured == 1
    assert first == second


def test_a_profile_that_fits_is_used_again_without_a_word(desk: Desk, bundle: Bundle) -> None:
    first = desk.ask(bundle)
    assert desk.ask(bundle) == first
    assert (desk.measured, desk.announced) == (1, ())


def test_another_model_file_is_measured_again(desk: Desk, bundle: Bundle, tmp_path: Path) -> None:
    desk.ask(bundle)
    manifest = make_manifest()
    entry = manifest.variants[1]
    changed = replace(entry.artifacts[0], sha256="0" * 64)
    variants = (manifest.variants[0], replace(entry, artifacts=(changed,)), manifest.variants[2])
    desk.ask(replace(bundle, manifest=replace(manifest, variants=variants)))
    assert desk.announced == (f"{BECAUSE}the profile does not have this bundle's mobilenet_v1_0.50_160",)
    assert desk.measured == 2


def test_a_new_variant_is_measured_again_and_one_less_is_not(desk: Desk, bundle: Bundle, tmp_path: Path) -> None:
    smaller = write_bundle(tmp_path / "smaller", make_manifest({"0.50_160": 0.8}))
    desk.ask(open_bundle(smaller))
    profile = desk.ask(bundle)
    assert desk.announced == (f"{BECAUSE}the profile does not have this bundle's mobilenet_v1_1.00_224",)
    assert desk.ask(open_bundle(smaller)) == profile
    assert desk.measured == 2


@pytest.mark.parametrize("created", ["2025-01-01T00:00:00+00:00", "2025-01-01T00:00:00", "yesterday"])
def test_a_profile_that_is_not_valid_is_measured_again(desk: Desk, bundle: Bundle, created: str) -> None:
    doubtful = replace(desk.ask(bundle), valid=False, objections=("The board was hot.",), created=created)
    doubtful.save(desk.folder / FILE)
    assert desk.ask(bundle).valid
    assert desk.announced == (f"{BECAUSE}the last profile is not valid: The board was hot",)


def test_a_fresh_profile_that_is_not_valid_serves_for_a_while(desk: Desk, bundle: Bundle) -> None:
    doubtful = replace(desk.ask(bundle), valid=False, objections=("The board was hot.",))
    doubtful.save(desk.folder / FILE)
    assert desk.ask(bundle) == doubtful
    assert (desk.measured, desk.announced) == (1, ("the profile is not valid: The board was hot.",))


def test_a_profile_that_is_not_valid_is_measured_again_after_the_next_boot(desk: Desk, bundle: Bundle) -> None:
    replace(desk.ask(bundle), valid=False, objections=("The board was hot.",)).save(desk.folder / FILE)
    desk.booted_s = time.time() + 60
    assert desk.ask(bundle).valid
    assert desk.announced == (f"{BECAUSE}the last profile is not valid: The board was hot",)


@pytest.mark.parametrize("health", [Health(load_percent=90.0), Health(throttle_bits=0x4)])
def test_a_machine_that_is_still_busy_or_throttled_is_not_measured_at_every_start(
    desk: Desk, bundle: Bundle, health: Health
) -> None:
    old = replace(desk.ask(bundle), valid=False, objections=("It was busy.",), created="2025-01-01T00:00:00+00:00")
    old.save(desk.folder / FILE)
    desk.health = health
    assert desk.ask(bundle) == old
    assert (desk.measured, desk.announced) == (1, ("the profile is not valid: It was busy.",))


def test_a_new_profile_that_is_not_valid_is_used_and_announced(
    desk: Desk, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = calm_machine(describe=lambda: BOARD, load_meter=lambda: lambda: 90.0)
    monkeypatch.setattr(profile_cache, "measure", partial(measuring.measure, machine=busy))
    assert not desk.ask(bundle).valid
    doubt = "Other processes kept 90 % of one CPU busy, more than 25 %: stop them and measure again."
    assert desk.announced == (f"{BECAUSE}this machine has no profile of it", f"the profile is not valid: {doubt}")
    assert not load_profile(desk.folder / FILE).valid


def test_a_profile_of_a_few_variants_that_is_not_stored_is_announced(desk: Desk, bundle: Bundle) -> None:
    part = desk.ask(bundle, variants=["0.50_160"], refresh=True)
    assert [row.variant.name for row in part.rows] == ["mobilenet_v1_0.50_160"]
    assert desk.announced == (
        "the profile is not stored: it has 1 of 3 variants, and no stored profile that was measured in the same way "
        "has the others. Measure all variants once.",
    )
    assert not (desk.folder / FILE).exists()


def test_variants_that_the_stored_profile_has_are_not_measured_again(desk: Desk, bundle: Bundle) -> None:
    first = desk.ask(bundle)
    replace(first, rows=first.rows[1:]).save(desk.folder / FILE)
    assert desk.ask(bundle, variants=["0.50_160"]).rows == first.rows[1:]
    assert desk.measured == 1
    part = desk.ask(bundle, variants=["1.00_224"])
    assert [row.variant.name for row in part.rows] == ["mobilenet_v1_1.00_224"]
    assert load_profile(desk.folder / FILE).rows == (part.rows[0], *first.rows[1:]), "completed, not replaced"


def test_a_refresh_measures_again_and_what_is_not_to_be_kept_is_not_stored(desk: Desk, bundle: Bundle) -> None:
    first = desk.ask(bundle)
    second = desk.ask(bundle, refresh=True, keep=False)
    assert (desk.measured, desk.announced) == (2, ())
    assert second.rows != first.rows
    assert load_profile(desk.folder / FILE) == first


def test_each_thread_count_has_its_own_profile(desk: Desk, bundle: Bundle) -> None:
    desk.ask(bundle)
    desk.ask(bundle, threads=1)
    assert desk.announced == (f"{BECAUSE}this machine has no profile of it",)
    assert sorted(path.name for path in desk.folder.iterdir()) == [FILE.replace("-2.json", "-1.json"), FILE]


def test_a_profile_of_another_thread_count_in_its_place_is_measured_again(desk: Desk, bundle: Bundle) -> None:
    replace(desk.ask(bundle), threads=3).save(desk.folder / FILE)
    desk.ask(bundle)
    assert desk.announced == (f"{BECAUSE}the profile is for 3 threads, not 2 threads",)


def test_a_card_moved_to_another_board_is_measured_again(desk: Desk, bundle: Bundle) -> None:
    desk.ask(bundle)
    desk.board = Device(board="Raspberry Pi 4 Model B Rev 1.5")
    desk.ask(bundle)
    assert desk.announced == (f"{BECAUSE}the profile is of another board (Raspberry Pi 4 Model B Rev 1.4)",)


def test_a_damaged_profile_is_measured_again(desk: Desk, bundle: Bundle) -> None:
    desk.ask(bundle)
    path = desk.folder / FILE
    path.write_text(path.read_text()[:100])
    desk.ask(bundle)
    assert desk.announced[0].startswith(f"{BECAUSE}Latency profile {path} is not JSON (")
    load_profile(path)


@pytest.mark.parametrize("blocked", ["mobilenet-edge/profiles", "mobilenet-edge"])
def test_a_folder_that_cannot_be_made_costs_the_file_only(
    desk: Desk, bundle: Bundle, tmp_path: Path, blocked: str
) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("in the way")
    profile = desk.ask(bundle)
    assert len(profile.rows) == 3
    assert len(desk.announced) == 2
    assert desk.announced[1] == (
        f"the profile is not stored: Cannot write {desk.folder / FILE}: {tmp_path / blocked} is not a folder. Choose "
        "another place."
    )


def test_a_full_disk_costs_the_file_only(desk: Desk, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(handle: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    assert len(desk.ask(bundle).rows) == 3
    assert desk.announced[1] == (
        f"the profile is not stored: Cannot write {desk.folder / FILE}: no space left on device on {desk.folder}. "
        "Free some space; nothing half-written was kept."
    )
    assert list(desk.folder.iterdir()) == []


class TestStaleReason:
    PROFILE = make_profile(dict.fromkeys(TOP1, 5.0))

    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reports = (
            BackendReport("litert", True, "ai-edge-litert 2.3.0"),
            BackendReport("onnxruntime", False, "onnxruntime 1.0 is broken"),
        )
        monkeypatch.setattr(staleness, "backend_reports", lambda: reports)

    def test_is_nothing_for_a_profile_that_fits(self) -> None:
        assert stale_reason(self.PROFILE, make_bundle(), 4, BOARD) == ""

    @pytest.mark.parametrize("version", ["ai-edge-litert 2.2.0", "onnxruntime 1.0 is broken"])
    def test_is_a_runtime_that_is_not_installed(self, version: str) -> None:
        profile = replace(self.PROFILE, backend_version=version)
        assert stale_reason(profile, make_bundle(), 4, BOARD) == (
            f"the profile was measured with {version}, which is not installed"
        )

    def test_is_a_board_that_is_not_known(self) -> None:
        assert stale_reason(self.PROFILE, make_bundle(), 4, Device()) == (
            "the profile is of another board (Raspberry Pi 4 Model B Rev 1.4)"
        )

    def test_is_nothing_where_neither_side_knows_the_board(self) -> None:
        assert stale_reason(replace(self.PROFILE, device=Device()), make_bundle(), 4, Device()) == ""


def test_profiles_are_kept_where_state_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/data")
    assert profiles_folder() == Path("/data/mobilenet-edge/profiles")


def test_names_of_files_hold_no_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/p")
    bundle = make_bundle(name="../birds/europe")
    assert profile_path(bundle, "auto", 4, BOARD) == Path(
        "/p/mobilenet-edge/profiles/raspberry-pi-4-model-b--..-birds-europe--auto-4.json"
    )
    assert profile_path(bundle, "auto", 4, Device()).name.startswith("unknown--")


class TestPart:
    """A profile of a few variants, and the one that is kept."""

    NAMES = ("1.00_224", "1.00_128", "0.50_160", "0.25_224", "0.25_128")
    WHOLE = make_profile({name: 10.0 + number for number, name in enumerate(NAMES)})
    BUNDLE = make_bundle(dict.fromkeys(NAMES, 0.8))

    def part(self, *names: str, **changes: Any) -> LatencyProfile:
        return make_profile(dict.fromkeys(names, 99.0), **changes)

    def p95s(self, profile: LatencyProfile | None) -> list[float | None]:
        assert profile is not None
        return [row.latency.p95_ms for row in profile.rows]

    def test_takes_the_place_of_its_variants_alone(self, tmp_path: Path) -> None:
        self.WHOLE.save(tmp_path / FILE)
        whole = merged(tmp_path / FILE, self.part("0.50_160"), self.BUNDLE)
        order = {row.variant: row.latency.p95_ms for row in self.WHOLE.rows}
        expected = [99.0 if e.variant == Variant(0.5, 160) else order[e.variant] for e in self.BUNDLE.variants]
        assert self.p95s(whole) == expected

    def test_is_not_kept_where_there_is_nothing_to_complete_it(self, tmp_path: Path) -> None:
        assert merged(tmp_path / FILE, self.part("0.50_160"), self.BUNDLE) is None
        (tmp_path / FILE).write_text("{}")
        assert merged(tmp_path / FILE, self.part("0.50_160"), self.BUNDLE) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"device": Device(board="Raspberry Pi 5")},
            {"backend_version": "ai-edge-litert 9"},
            {"threads": 1},
            {"cpus": (2, 3)},
            {"valid": False, "objections": ("The clock fell.",)},
        ],
    )
    def test_does_not_mix_with_what_was_measured_otherwise(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        self.WHOLE.save(tmp_path / FILE)
        assert merged(tmp_path / FILE, self.part("0.50_160", **changes), self.BUNDLE) is None

    def test_replaces_a_prediction_and_predicts_the_rest_again(self, tmp_path: Path) -> None:
        four = replace(self.WHOLE, rows=tuple(row for row in self.WHOLE.rows if row.variant.alpha != 0.5))
        predict(four, self.BUNDLE).save(tmp_path / FILE)
        whole = merged(tmp_path / FILE, self.part("0.50_160"), self.BUNDLE)
        assert whole is not None
        row = whole.find(Variant(0.5, 160))
        assert row is not None and (row.provenance, row.latency.p95_ms) == ("measured", 99.0)

    def test_a_prediction_replaces_no_measurement(self, tmp_path: Path) -> None:
        self.WHOLE.save(tmp_path / FILE)
        four = replace(self.WHOLE, rows=tuple(row for row in self.WHOLE.rows if row.variant.alpha != 0.5))
        whole = merged(tmp_path / FILE, predict(four, self.BUNDLE), self.BUNDLE)
        assert whole is not None
        assert all(row.provenance == "measured" for row in whole.rows)
