"""One number for how slow the board is: the p95 of the last second."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edge.budget import Budget
from edge.bundles.variant import Variant
from edge.control.controller import Controller
from edge.control.decision import FrameTime, State, decide
from edge.operating_points import OperatingPoint

ONLY = OperatingPoint(variant=Variant(1.0, 224), p95_ms=10.0, score=70.0)


def after(frames: list[tuple[float, float]]) -> State:
    """The state after frames of (time, multiple of the profile)."""
    state = Controller([ONLY], Budget(latency_ms=1000.0)).state
    for now_s, ratio in frames:
        state, _ = decide(state, FrameTime(ONLY.variant, ratio * ONLY.p95_ms), now_s)
    return state


def test_it_is_one_before_there_is_a_frame() -> None:
    assert after([]).slowdown == 1.0


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_it_is_the_nearest_rank_95th_percentile(ratios: list[float]) -> None:
    state = after([(number / 100, ratio) for number, ratio in enumerate(ratios)])
    assert math.isclose(state.slowdown, sorted(ratios)[math.ceil(0.95 * len(ratios)) - 1], rel_tol=1e-12)


def test_frames_older_than_the_window_no_longer_count() -> None:
    state = after([(number / 20, 5.0 if number < 30 else 1.0) for number in range(60)])
    assert state.slowdown == 1.0
    assert {ratio for _, ratio in state.ratios} == {1.0}
    assert 20 <= len(state.ratios) <= 21, "twenty a second"


def test_the_last_few_count_however_slow_they_come() -> None:
    assert [ratio for _, ratio in after([(5.0 * number, 4.0) for number in range(9)]).ratios][-3:] == [4.0] * 3


def test_a_time_of_next_to_nothing_is_not_zero() -> None:
    assert after([(0.0, 5e-324)]).slowdown > 0


def test_a_clock_that_jumps_clears_it() -> None:
    state = after([(0.0, 4.0)])
    assert state.slowdown == 4.0
    state, _ = decide(state, state.budget, 1e6)
    assert (state.slowdown, state.ratios) == (1.0, ())
