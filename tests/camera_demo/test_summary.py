from collections.abc import Callable, Iterator
from itertools import count

import pytest

from camera_demo.frames import Shown
from camera_demo.summary import Tally


@pytest.fixture
def ticks() -> Iterator[float]:
    """A clock that goes on by 40 ms at each look."""
    return (0.04 * n for n in count())


def tally_of(ticks: Iterator[float]) -> Tally:
    return Tally(backend="fake (fake 1, 1 thread)", clock=lambda: next(ticks))


def test_a_summary_tells_frames_times_labels_and_variant(
    make_shown: Callable[..., Shown], ticks: Iterator[float]
) -> None:
    tally = tally_of(ticks)
    for index in range(75):
        tally.add(make_shown(index, label="three" if index < 50 else "four", probability=0.97 if index < 50 else 0.5))
    assert tally.summary().lines() == (
        "75 frames in 3.0 s, 25.0 fps; 2 dropped",
        "capture to answer: median 7.5 ms, p95 7.5 ms; 0.0% of frames over the budget of 33.3 ms",
        "seen: three 0:00-0:01 97 %, four 0:02-0:02 50 %",
        "mobilenet_v1_0.25_128 on fake (fake 1, 1 thread)",
    )


def test_many_changes_are_told_as_shares(make_shown: Callable[..., Shown], ticks: Iterator[float]) -> None:
    tally = tally_of(ticks)
    for index in range(100):
        tally.add(make_shown(index, label="odd" if index % 2 else "even"))
    assert tally.summary().seen == ("even in 50% of frames", "odd in 50% of frames")


def test_of_many_labels_the_commonest_are_told(make_shown: Callable[..., Shown], ticks: Iterator[float]) -> None:
    tally = tally_of(ticks)
    for index in range(100):
        tally.add(make_shown(index, label=f"label {index % 25}"))
    seen = tally.summary().seen
    assert len(seen) == 11
    assert seen[-1] == "15 more"


def test_unsure_frames_are_a_run_of_their_own(make_shown: Callable[..., Shown], ticks: Iterator[float]) -> None:
    tally = tally_of(ticks)
    tally.add(make_shown(0, guesses=()))
    assert tally.summary().seen == ("not sure 0:00-0:00",)


def test_the_share_over_budget_counts_what_the_classification_took(
    make_shown: Callable[..., Shown], ticks: Iterator[float]
) -> None:
    tally = tally_of(ticks)
    tally.add(make_shown(0, budget_ms=5.9))
    assert tally.summary().over_budget == 1.0


def test_no_frame_at_all_is_told(ticks: Iterator[float]) -> None:
    assert tally_of(ticks).summary().lines() == ("No frame in 0.0 s.",)


def test_an_hour_has_its_own_form(make_shown: Callable[..., Shown], ticks: Iterator[float]) -> None:
    tally = tally_of(ticks)
    tally.add(make_shown(25 * 3671))
    assert tally.summary().seen == ("three 1:01:11-1:01:11 97 %",)
