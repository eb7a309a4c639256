"""Steady answers: when a class is announced, when an event is over, and that nothing flickers."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_demo.errors import ConfigError
from camera_demo.events import Event, EventState, Moment, Observation, Span, Steady, lapse, observe
from edge.inference.prediction import Guess

LABELS = "ABC"
answers = st.lists(st.sampled_from([*LABELS, ""]), max_size=60)
"""One letter an answer; none where it is unknown."""
spans = st.integers(1, 8)


def guess_of(letter: str, probability: float = 0.9) -> Guess | None:
    return Guess(LABELS.index(letter), letter, probability) if letter else None


def run(letters: list[str] | str, steady: Steady, period_s: float = 0.1) -> tuple[EventState, list[Event]]:
    """What comes of these answers; a ``-`` is no class."""
    state, events = EventState(), list[Event]()
    for number, letter in enumerate(letters):
        moment = Moment(number, period_s * number, 1e9 + period_s * number)
        state, more = observe(state, Observation(guess_of(letter.strip("-")), moment), steady)
        events += more
    return state, events


def shown(events: list[Event]) -> list[str]:
    return [f"-{e.label}{e.last.frame}" if e.is_over else f"+{e.label}{e.start.frame}" for e in events]


def counts(begin: int, end: int | None = None) -> Steady:
    return Steady(Span(begin), None if end is None else Span(end))


@pytest.mark.parametrize(
    ("letters", "steady", "expected"),
    [
        ("AAA", counts(3), ["+A0"]),
        ("AA", counts(3), []),
        ("AABAA", counts(3), []),
        ("AA-AA", counts(3), []),
        ("--AAA", counts(3), ["+A2"]),
        ("AAABBB", counts(3), ["+A0", "-A2", "+B3"]),
        ("AAABB-AAA", counts(3), ["+A0"]),
        ("AAAB-BC--", counts(3), ["+A0", "-A2"]),
        ("AAA-----", counts(3), ["+A0"]),
        ("AAA------", counts(3), ["+A0", "-A2"]),
        ("AAA--A------", counts(3), ["+A0", "-A5"]),
        ("AAA--", counts(3, 2), ["+A0", "-A2"]),
        ("AAA--BBB", counts(3, 2), ["+A0", "-A2", "+B5"]),
        ("AAABBB", counts(3, 2), ["+A0", "-A2", "+B3"]),
        ("A-B", counts(1, 1), ["+A0", "-A0", "+B2"]),
        ("ABA", counts(1), ["+A0", "-A0", "+B1", "-B1", "+A2"]),
        ("AAAA", Steady(Span(seconds=0.3)), ["+A0"]),
        ("AAA", Steady(Span(seconds=0.3)), []),
        ("A", Steady(Span(seconds=0.001)), []),
        ("AAAA------", Steady(Span(seconds=0.3)), ["+A0"]),
        ("AAAA-------", Steady(Span(seconds=0.3)), ["+A0", "-A3"]),
    ],
)
def test_the_table(letters: str, steady: Steady, expected: list[str]) -> None:
    assert shown(run(letters, steady)[1]) == expected


@given(answers, spans, spans)
def test_events_begin_and_end_in_turn_and_never_overlap(letters: list[str], begin: int, end: int) -> None:
    state, events = run(letters, counts(begin, end))
    state, rest = lapse(state)
    events += rest
    assert state.announced is None
    assert [event.is_over for event in events] == [False, True] * (len(events) // 2)
    for begun, over in zip(events[::2], events[1::2], strict=True):
        assert (begun.number, begun.label, begun.start) == (over.number, over.label, over.start)
        assert over.last.frame - over.start.frame >= begin - 1, "none is shorter than what announces it"
        assert letters[over.start.frame] == letters[over.last.frame] == letters[over.best.frame] == over.label
    for over, begun in zip(events[1::2], events[2::2], strict=False):
        assert over.last.frame < begun.start.frame
        assert begun.number == over.number + 1


@given(answers, spans, spans)
def test_what_is_announced_was_seen_in_a_row_just_now(letters: list[str], begin: int, end: int) -> None:
    state, steady = EventState(), counts(begin, end)
    for number, letter in enumerate(letters):
        before = state.label
        state, events = observe(state, Observation(guess_of(letter), Moment(number, number / 10, 0.0)), steady)
        recent = letters[max(0, number + 1 - begin) : number + 1]
        if state.label != before and state.label is not None:
            assert recent == [state.label] * begin
            assert [event.is_over for event in events][-1] is False
        if state.label is not None:
            assert state.label in letters[max(0, number + 1 - end) : number + 1], "it was seen within the last M"
        elif before is None:
            assert len(recent) < begin or len({*recent}) > 1 or "" in recent, "N in a row are always announced"


@given(st.lists(st.sampled_from(["A", "B", ""]), max_size=80))
def test_flicker_is_never_an_event(letters: list[str]) -> None:
    longest = max((len(list(run)) for _, run in groupby(letters)), default=0)
    assert not run(letters, counts(longest + 1))[1]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.floats(0, 1)), min_size=1, max_size=40))
def test_the_best_frame_is_the_surest_of_the_event_s_own(seen: list[tuple[str, float]]) -> None:
    state, images = EventState(), [np.full((1, 1, 3), number, np.uint8) for number in range(len(seen))]
    probabilities = [probability for _, probability in seen]
    for number, (letter, probability) in enumerate(seen):
        moment = Moment(number, number / 10, 0.0)
        state, events = observe(
            state, Observation(guess_of(letter, probability), moment, images[number]), counts(2, 100)
        )
        for event in (*events, *([state.announced] if state.announced else [])):
            own = [n for n in range(event.start.frame, event.last.frame + 1) if seen[n][0] == event.label]
            assert event.probability == max(probabilities[n] for n in own)
            assert event.image is images[event.best.frame]
            assert event.probability == probabilities[event.best.frame]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6), max_size=30))
def test_a_clock_that_jumps_breaks_nothing(positions: list[float]) -> None:
    state, steady = EventState(), Steady(Span(seconds=1.0))
    for number, position_s in enumerate(positions):
        state, events = observe(state, Observation(guess_of("A"), Moment(number, position_s, 0.0)), steady)
        assert all(event.duration_s >= 0 for event in events)


def test_time_counts_by_the_stream_and_not_by_the_answers() -> None:
    half_a_second = Steady(Span.parse("0.5s"))
    assert shown(run("A" * 6, half_a_second, period_s=0.1)[1]) == ["+A0"]
    assert shown(run("A" * 6, half_a_second, period_s=0.01)[1]) == []
    assert shown(run("AA", half_a_second, period_s=2.0)[1]) == ["+A0"]


def test_a_camera_that_is_away_ends_what_was_announced() -> None:
    state, events = run("AAA", counts(3))
    state, rest = lapse(state)
    assert shown([*events, *rest]) == ["+A0", "-A2"]
    assert lapse(state) == (state, ())
    assert state == EventState("", 1)


def test_an_event_as_json() -> None:
    _, [begun, over, *_] = run("AAABBB", counts(3))
    assert begun.to_dict() == {
        "event": "begin", "number": 1, "label": "A", "class_id": 0,
        "start": "2001-09-09T01:46:40.000+00:00", "start_frame": 0, "start_s": 0.0,
        "end": None, "end_frame": None, "end_s": None, "probability": 0.9, "best_frame": 0,
    }  # fmt: skip
    assert (over.to_dict()["event"], over.to_dict()["end_s"], over.duration_s) == ("end", 0.2, 0.2)


@pytest.mark.parametrize("text", ["", "0", "-1", "s", "0s", "5 s x", "1e9", "nans", "infs", "4000s", "20000", "2.5"])
def test_what_is_neither_a_number_of_answers_nor_seconds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"invalid steady '.*': expected a number of answers, e.g. 5"):
        Span.parse(text)


def test_an_end_takes_twice_as_long_unless_it_is_set() -> None:
    assert Steady(Span(4)).release == Span(8)
    assert Steady(Span(seconds=0.5)).release == Span(seconds=1.0)
    assert Steady(Span(4), Span(seconds=3.0)).release == Span(seconds=3.0)
    assert Steady(Span(9_000)).release == Span(10_000)


@pytest.mark.parametrize("spans", [(5,), (Span(answers=5), 5)])
def test_a_number_is_no_span(spans: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        Steady(*spans)
    assert str(refused.value) == "Steady takes spans, got 5: Span(answers=5) or Span(seconds=0.5)."
