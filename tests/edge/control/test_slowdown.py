"""One number for how slow the board is: the p95 of the last second."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edge.control.slowdown import Slowdown


def test_it_is_one_before_there_is_a_frame() -> None:
    assert Slowdown(1.0).now == 1.0


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_it_is_the_nearest_rank_95th_percentile(ratios: list[float]) -> None:
    slowdown = Slowdown(1.0)
    for number, ratio in enumerate(ratios):
        slowdown.add(ratio, number / 100)
    assert slowdown.now == sorted(ratios)[math.ceil(0.95 * len(ratios)) - 1]


def test_frames_older_than_the_window_no_longer_count() -> None:
    slowdown = Slowdown(1.0)
    for number in range(60):
        slowdown.add(5.0 if number < 30 else 1.0, number / 20)
    assert slowdown.now == 1.0
    assert slowdown.above(2.0) == 0
    assert 20 <= slowdown.above(0.5) <= 21, "twenty a second"


def test_the_last_few_count_however_slow_they_come() -> None:
    slowdown = Slowdown(1.0)
    for number in range(9):
        slowdown.add(4.0, 5.0 * number)
    assert slowdown.above(3.0) == 3


def test_a_time_of_next_to_nothing_is_not_zero() -> None:
    slowdown = Slowdown(1.0)
    slowdown.add(5e-324, 0.0)
    assert slowdown.now > 0


def test_it_can_begin_anew() -> None:
    slowdown = Slowdown(1.0)
    slowdown.add(4.0, 0.0)
    slowdown.forget_all()
    assert (slowdown.now, slowdown.above(0.0)) == (1.0, 0)
