"""Measuring: every variant in turn, and figures that say when they are not valid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from edge import measure as measuring
from edge.backends import ModelFile, fake
from edge.backends.fake import FakeBackend
from edge.bundle import Bundle, open_bundle
from edge.device import Device
from edge.errors import BackendError, BundleError
from edge.health import Health
from edge.latency import load_profile
from edge.measure import Effort, default_threads
from edge.variant import Variant
from tests.edge.conftest import bundled

BRIEF = Effort(runs=10, most_s=5.0)
BIG, MIDDLE, SMALL = Variant(1.0, 224), Variant(0.5, 160), Variant(0.25, 128)
measure = partial(
    measuring.measure,
    backend="fake",
    threads=2,
    effort=BRIEF,
    device=lambda: Device(board="Raspberry Pi 4 Model B Rev 1.4"),
    health=lambda: Health(load_percent=1.0, temperature_c=50.0),
)


@pytest.fixture(autouse=True)
def _no_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_WARM_UP_S", 0.0)


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder)


def in_turn(*values: Health) -> Callable[[], Health]:
    return partial(next, iter(values))


def test_every_variant_gets_a_row_of_its_own_file(bundle: Bundle) -> None:
    profile = measure(bundle)
    assert [row.variant for row in profile.rows] == [BIG, MIDDLE, SMALL]
    for row in profile.rows:
        assert row.model_sha256 == bundled(row.variant.name, 0.8).artifacts[0].sha256
        assert row.latency.num_runs == BRIEF.runs
        assert 0 <= row.infer_ms <= row.latency.median_ms
        assert row.latency.init_ms > 0 < row.latency.warmup_first_ms
        assert row.peak_rss_mb > 1
        assert row.provenance == "measured"


def test_a_profile_tells_how_it_was_measured(bundle: Bundle) -> None:
    profile = measure(bundle)
    assert (profile.bundle, profile.backend, profile.backend_version) == ("tiny", "fake", "fake 1")
    assert (profile.threads, profile.frame_size, profile.source) == (2, (640, 480), None)
    assert profile.device["board_slug"] == "raspberry-pi-4-model-b"
    assert profile.before["temperature_c"] == 50.0
    assert (profile.valid, profile.objections) == (True, ())
    assert profile.created.endswith("+00:00")


def test_a_profile_is_kept_and_read_back(bundle: Bundle, tmp_path: Path) -> None:
    profile = measure(bundle, variants=[SMALL])
    profile.save(tmp_path / "profile.json")
    assert load_profile(tmp_path / "profile.json") == profile


def test_a_slow_model_is_seen_in_the_figures(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: ModelFile, threads: int) -> FakeBackend:
        latency_ms = {BIG: 6.0, SMALL: 0.0}[model.variant]
        return FakeBackend(resolution=model.variant.resolution, classes=model.classes, latency_ms=latency_ms)

    monkeypatch.setattr(fake, "load", load)
    big, small = measure(bundle, variants=[BIG, SMALL]).rows
    assert big.infer_ms >= 6.0 > small.infer_ms
    assert big.latency.min_ms >= 6.0
    assert big.latency.median_ms >= big.infer_ms


def test_variants_take_turns_so_that_heat_falls_on_all_alike(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Variant] = []

    class Noted(FakeBackend):
        def infer(self) -> np.ndarray:
            order.append(Variant({224: 1.0, 128: 0.25}[self.input_spec.resolution], self.input_spec.resolution))
            return super().infer()

    monkeypatch.setattr(fake, "load", lambda model, threads: Noted(resolution=model.variant.resolution, classes=5))
    measure(bundle, variants=[BIG, SMALL])
    turns = [(variant, len(list(group))) for variant, group in itertools.groupby(order[-24:])]
    assert turns == [(BIG, 6), (SMALL, 6)] * 2, "five frames that count after one that does not"


def test_some_variants_may_be_named_and_one_named_twice_is_one(bundle: Bundle) -> None:
    profile = measure(bundle, variants=[SMALL, MIDDLE, SMALL])
    assert [row.variant for row in profile.rows] == [SMALL, MIDDLE]


def test_a_variant_that_the_bundle_lacks_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"Bundle tiny has no mobilenet_v1_0\.75_192"):
        measure(bundle, variants=[Variant(0.75, 192)])


def test_files_that_no_backend_runs_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match=r"No backend could open mobilenet_v1_1\.00_224"):
        measure(bundle, backend="auto")


def test_time_ends_a_measurement_before_its_runs(bundle: Bundle) -> None:
    profile = measure(bundle, variants=[SMALL], effort=Effort(runs=1_000_000, most_s=0.05))
    assert 5 <= profile.rows[0].latency.num_runs < 100_000


def test_even_next_to_no_time_gives_one_round(bundle: Bundle) -> None:
    profile = measure(bundle, variants=[SMALL], effort=Effort(runs=100, most_s=1e-9))
    assert profile.rows[0].latency.num_runs == 5


def test_a_number_of_runs_that_is_no_whole_round_is_kept(bundle: Bundle) -> None:
    profile = measure(bundle, variants=[SMALL], effort=Effort(runs=7, most_s=5.0))
    assert profile.rows[0].latency.num_runs == 7


def test_progress_rises_to_the_end(bundle: Bundle) -> None:
    told: list[tuple[str, float]] = []
    measure(bundle, progress=lambda stage, share: told.append((stage, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    assert [stage for stage, _ in told[:4]] == [*(f"loading {v}" for v in (BIG, MIDDLE, SMALL)), "timing"]


def test_what_spoils_the_figures_is_said_with_them(bundle: Bundle) -> None:
    health = in_turn(Health(load_percent=1.0), Health(load_percent=90.0, throttle_bits=0x4))
    profile = measure(bundle, variants=[SMALL], health=health)
    assert not profile.valid
    assert profile.objections == (
        "The board reports throttled now: see to its power supply and cooling.",
        "Other processes kept 90 % of one CPU busy, more than 25 %: stop them and measure again.",
    )
    assert profile.after["throttle_bits"] == 4


def test_frames_to_time_with_are_the_same_every_time() -> None:
    first, second = (measuring.timing_frames(2, (64, 48)) for _ in range(2))
    assert [frame.shape for frame in first] == [(48, 64, 3)] * 2
    assert first[0].dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 2), (4, 4), (64, 4)])
def test_threads_are_the_physical_cores_but_four_at_most(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    assert default_threads() == threads
