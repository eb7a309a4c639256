"""A run of minutes: what heat makes of the first seconds' figures. And energy."""

from __future__ import annotations

import time
from statistics import fmean

import pytest

from edge.board.health import Health
from edge.bundles.variant import Variant
from edge.inference.classifier import Classifier
from edge.inference.prediction import Prediction, Prepared
from edge.profiling.energy import energy_mj
from edge.profiling.sustained_run import sustained_run
from edge.profiling.timing import timing_frames
from edge.vision.picture import Picture

SMALL = Variant(0.25, 128)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Heating(Classifier):
    """Takes 10 ms a frame on a cold board, and twice that after a minute."""

    def __init__(self, clock: Clock) -> None:
        self.variant, self.clock = SMALL, clock

    def classify(self, picture: Picture, prepared: Prepared | None = None, *, rgb: bool = False) -> Prediction:
        took_ms = 10.0 if self.clock.now_s < 60 else 20.0
        self.clock.now_s += took_ms / 1000
        return Prediction((), 0.0, took_ms, 0.0)


def test_the_course_and_the_p95_of_the_warm_board_are_told() -> None:
    clock = Clock()

    def look() -> Health:
        return Health(temperature_c=40 + clock.now_s / 4, clock_mhz=(1500, 1800), throttle_bits=0, power_w=5.0)

    points, warm_ms = sustained_run({SMALL: Heating(clock)}, timing_frames(2, (64, 48)), 120.0, look, clock=clock)
    assert warm_ms == {SMALL: 20.0}
    assert [points[0].slowdown, points[-1].slowdown] == [1.0, 2.0]
    assert 55 <= len(points) <= 62
    assert points[-1].temperature_c == pytest.approx(70, abs=1.5)
    assert (points[0].clock_mhz, points[0].throttle_bits, points[0].power_w) == (1800, 0, 5.0)
    assert [point.at_s for point in points] == sorted(point.at_s for point in points)


def test_a_board_that_tells_nothing_still_has_a_course() -> None:
    clock = Clock()
    points, _ = sustained_run({SMALL: Heating(clock)}, timing_frames(1, (64, 48)), 3.0, Health, clock=clock)
    assert [(p.temperature_c, p.clock_mhz, p.throttle_bits, p.power_w) for p in points] == [(None,) * 4] * len(points)


class TestEnergy:
    def test_is_mean_power_times_mean_time(self) -> None:
        took_ms = list[float]()

        def run() -> None:
            start_s = time.perf_counter()
            time.sleep(0.01)
            took_ms.append(1e3 * (time.perf_counter() - start_s))

        found = energy_mj(run, lambda: 4.0, seconds=0.4)
        assert found == pytest.approx(4.0 * fmean(took_ms), rel=0.3)

    def test_is_unknown_where_the_power_is(self) -> None:
        assert energy_mj(lambda: time.sleep(0.01), lambda: None, seconds=0.25) is None
