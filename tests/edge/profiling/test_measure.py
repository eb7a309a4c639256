"""Measuring: every variant in turn, and figures that say when they are not valid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge.board.affinity import usable_cpus
from edge.board.health import Health
from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.errors import BackendError, BundleError
from edge.inference.backends import ModelFile, fake
from edge.inference.backends.fake import FakeBackend
from edge.profiling import measure as measuring
from edge.profiling.energy import energy_mj
from edge.profiling.profile import load_profile
from edge.profiling.timing import PER_ROUND, StopRule
from tests.edge.conftest import bundled, calm_machine

BRIEF = StopRule(least_rounds=2, most_s=5.0, precision=100.0)
BIG, MIDDLE, SMALL = Variant(1.0, 224), Variant(0.5, 160), Variant(0.25, 128)
measure = partial(measuring.measure, backend="fake", threads=2, stop=BRIEF, machine=calm_machine())


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
        assert row.latency.num_runs == 5 * PER_ROUND, "the precision is looked at every fifth round"
        assert row.latency.is_complete
        stages_ms = (row.preprocess_ms or -1, row.infer_ms or -1, row.top_k_ms or -1)
        assert min(stages_ms) > 0
        assert sum(stages_ms) == pytest.approx(row.latency.median_ms, rel=0.5)
        assert row.cpu_ms is not None and row.cpu_ms > 0
        assert row.peak_rss_mb is not None and row.peak_rss_mb > 1
        assert (row.num_threads, row.precision) == (2, "int8")
        assert (row.includes_transfers, row.cuda_graph) == (False, False)
        assert (row.energy_mj, row.sustained_p95_ms) == (None, None)
        assert row.provenance == "measured"


def test_a_profile_tells_how_it_was_measured(bundle: Bundle) -> None:
    profile = measure(bundle)
    assert (profile.bundle, profile.backend, profile.backend_version) == ("tiny", "fake", "fake 1")
    assert (profile.threads, profile.frame_size, profile.source) == (2, (640, 480), None)
    assert profile.device.board_slug == "raspberry-pi-4-model-b"
    assert profile.before.temperature_c == 50.0
    assert (profile.load_percent, profile.cpus, profile.sustained) == (1.0, (), ())
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
    assert (big.infer_ms or 0) >= 6.0 > (small.infer_ms or 9)
    assert (big.latency.min_ms or 0) >= 6.0


def test_what_a_file_costs_when_it_is_first_opened_counts_towards_nothing(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loaded, loaded_before = fake.load, set[Variant](), set[Variant]()

    def noted(model: ModelFile, threads: int) -> FakeBackend:
        loaded.add(model.variant)
        return load(model, threads)

    def load_meter() -> Callable[[], float]:
        loaded_before.update(loaded)
        return lambda: 1.0

    monkeypatch.setattr(fake, "load", noted)
    measure(bundle, machine=calm_machine(load_meter=load_meter))
    assert loaded_before == {BIG, MIDDLE, SMALL}


def test_some_variants_may_be_named_and_one_named_twice_is_one(bundle: Bundle) -> None:
    profile = measure(bundle, variants=[SMALL, MIDDLE, SMALL])
    assert [row.variant for row in profile.rows] == [SMALL, MIDDLE]


def test_a_variant_that_the_bundle_lacks_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"Bundle tiny has no mobilenet_v1_0\.75_192"):
        measure(bundle, variants=[Variant(0.75, 192)])


def test_files_that_no_backend_runs_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match=r"No backend could open mobilenet_v1_1\.00_224"):
        measure(bundle, backend="auto")


def test_progress_rises_to_the_end(bundle: Bundle) -> None:
    reported: list[tuple[str, float]] = []
    measure(bundle, progress=lambda stage, share: reported.append((stage, share)))
    shares = [share for _, share in reported]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    expected = [f"{act} {variant}" for act in ("opening", "loading") for variant in (BIG, MIDDLE, SMALL)]
    assert [stage for stage, _ in reported[:7]] == [*expected, "timing"]


def test_what_spoils_the_figures_is_said_with_them(bundle: Bundle) -> None:
    health = in_turn(Health(load_percent=1.0), Health(load_percent=1.0, throttle_bits=0x4))
    machine = calm_machine(health=health, load_meter=lambda: lambda: 90.0)
    profile = measure(bundle, variants=[SMALL], machine=machine)
    assert not profile.valid
    assert profile.objections == (
        "The board reports throttled now: see to its power supply and cooling.",
        "Other processes kept 90 % of one CPU busy, more than 25 %: stop them and measure again.",
    )
    assert profile.after.throttle_bits == 4
    assert profile.load_percent == 90.0


def test_the_fastest_thread_count_of_each_variant_is_searched(
    backend_clock: None, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    times_ms = {BIG: {1: 8.0, 2: 4.0, 3: 1.0, 4: 2.0}, SMALL: {1: 2.0, 2: 4.0, 3: 6.0, 4: 8.0}}

    def load(model: ModelFile, threads: int) -> FakeBackend:
        latency_ms = times_ms[model.variant][threads]
        return FakeBackend(
            resolution=model.variant.resolution, classes=model.classes, latency_ms=latency_ms, threads=threads
        )

    monkeypatch.setattr(fake, "load", load)
    monkeypatch.setattr(measuring, "most_threads", lambda: 4)
    profile = measure(bundle, variants=[BIG, SMALL], threads="auto")
    assert [row.num_threads for row in profile.rows] == [3, 1]
    assert profile.threads is None


def test_a_sustained_run_tells_the_course_of_heat_and_each_variants_p95(bundle: Bundle, tmp_path: Path) -> None:
    look = in_turn(*(Health(temperature_c=50.0 + n, clock_mhz=(1500, 1400)) for n in range(100)))
    reported: list[str] = []
    profile = measure(
        bundle,
        variants=[BIG, SMALL],
        sustained_s=1.5,
        machine=calm_machine(look=look),
        progress=lambda stage, share: reported.append(stage),
    )
    assert [point.temperature_c for point in profile.sustained] == [50.0, 51.0]
    assert profile.sustained[0].slowdown == 1.0
    assert all(row.sustained_p95_ms for row in profile.rows)
    assert reported[-1] == "sustained"
    profile.save(tmp_path / "profile.json")
    assert load_profile(tmp_path / "profile.json") == profile


def test_energy_is_measured_where_the_board_tells_its_power(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    powered = Health(load_percent=1.0, power_w=5.0)
    monkeypatch.setattr(fake, "load", lambda model, threads: FakeBackend(latency_ms=5.0, classes=5))
    monkeypatch.setattr(measuring, "energy_mj", partial(energy_mj, seconds=0.3))
    machine = calm_machine(health=lambda: powered, look=lambda: powered)
    (row,) = measure(bundle, variants=[SMALL], machine=machine).rows
    assert row.energy_mj is not None
    assert 5.0 * 5.0 <= row.energy_mj < 10 * 5.0 * 5.0, "watts times milliseconds"


def test_the_process_is_bound_to_the_fast_cpus_during_the_measurement(bundle: Bundle) -> None:
    before = usable_cpus()
    if len(before) < 2:
        pytest.skip("there is one CPU to be bound to")
    profile = measure(bundle, variants=[SMALL], machine=calm_machine(big_cpus=lambda: before[1:]))
    assert profile.cpus == before[1:]
    assert usable_cpus() == before
