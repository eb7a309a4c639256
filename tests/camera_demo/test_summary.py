from collections.abc import Callable, Iterator
from itertools import count

import pytest

from camera_demo.frames import Result
from camera_demo.region import parse_regions
from camera_demo.summary import Stats


@pytest.fixture
def ticks() -> Iterator[float]:
    """A clock that goes on by 40 ms at each look."""
    return (0.04 * n for n in count())


def tally_of(ticks: Iterator[float]) -> Stats:
    return Stats(backend="fake (fake 1, 1 thread)", clock=lambda: next(ticks))


def test_a_summary_tells_frames_times_labels_and_variant(
    make_result: Callable[..., Result], ticks: Iterator[float]
) -> None:
    stats = tally_of(ticks)
    for index in range(75):
        stats.add(make_result(index, label="three" if index < 50 else "four", probability=0.97 if index < 50 else 0.5))
    assert stats.summary().lines() == (
        "75 frames in 3.0 s, 25.0 fps; 2 dropped",
        "capture to answer: median 7.5 ms, p95 7.5 ms; 0.0% of frames over the budget of 33.3 ms",
        "seen: three 0:00-0:01 97 %, four 0:02-0:02 50 %",
        "mobilenet_v1_0.25_128 on fake (fake 1, 1 thread)",
    )


@pytest.mark.parametrize(("runs", "is_listed"), [(30, True), (31, False)])
def test_as_many_changes_as_the_demo_has_are_listed(
    make_result: Callable[..., Result], ticks: Iterator[float], runs: int, is_listed: bool
) -> None:
    stats = tally_of(ticks)
    for index in range(runs):
        stats.add(make_result(index, label="odd" if index % 2 else "even"))
    assert (len(stats.summary().seen) == runs) == is_listed


def test_many_changes_are_told_as_shares(make_result: Callable[..., Result], ticks: Iterator[float]) -> None:
    stats = tally_of(ticks)
    for index in range(100):
        stats.add(make_result(index, label="odd" if index % 2 else "even"))
    assert stats.summary().seen == ("even in 50% of frames", "odd in 50% of frames")


def test_of_many_labels_the_commonest_are_told(make_result: Callable[..., Result], ticks: Iterator[float]) -> None:
    stats = tally_of(ticks)
    for index in range(100):
        stats.add(make_result(index, label=f"label {index % 25}"))
    seen = stats.summary().seen
    assert len(seen) == 11
    assert seen[-1] == "15 more"


def test_unsure_frames_are_a_run_of_their_own(make_result: Callable[..., Result], ticks: Iterator[float]) -> None:
    stats = tally_of(ticks)
    stats.add(make_result(0, guesses=()))
    assert stats.summary().seen == ("not sure 0:00-0:00",)


def test_the_share_over_budget_counts_what_the_classification_took(
    make_result: Callable[..., Result], ticks: Iterator[float]
) -> None:
    stats = tally_of(ticks)
    stats.add(make_result(0, budget_ms=5.9))
    assert stats.summary().over_budget == 1.0


def test_each_region_has_runs_of_its_own(make_result: Callable[..., Result], ticks: Iterator[float]) -> None:
    stats = tally_of(ticks)
    door, gate = parse_regions(["door=0,0,0.5,1", "gate=0.5,0,1,1"])
    for index in range(100):
        stats.add(make_result(index, label="odd" if index % 2 else "even", region=gate if index % 2 else door))
    assert stats.summary().seen == ("door: even 0:00-0:03 97 %", "gate: odd 0:00-0:03 97 %")


def test_no_frame_at_all_is_told(ticks: Iterator[float]) -> None:
    assert tally_of(ticks).summary().lines() == ("No frame in 0.0 s.",)


def test_an_hour_has_its_own_form(make_result: Callable[..., Result], ticks: Iterator[float]) -> None:
    stats = tally_of(ticks)
    stats.add(make_result(25 * 3671))
    assert stats.summary().seen == ("three 1:01:11-1:01:11 97 %",)
