"""Steady answers: a class is announced once enough answers agree, and an event lasts until it is no longer seen.

:func:`observe` is pure: no clock, no file, no thread. N answers (or seconds) announce a class, M end it; M is twice N
unless it is set, so that what was announced survives a moment in which nothing is recognized.

========= ============= ==========================================================================================
announced answer        what follows
========= ============= ==========================================================================================
nothing   A             A waits. After N in a row its event begins, dated back to the first of them.
nothing   B, A waiting  B waits instead; A is forgotten.
nothing   no class      Nothing waits any more.
A         A             The event goes on, and keeps the frame in which A is most probable.
A         B             B waits. After N in a row A ends, where it was last seen, and B begins, where it was first seen.
A         not A         After M in a row, whatever they are, A ends where it was last seen.
A         none for 10 s A ends where it was last seen (:func:`lapse`): the camera is away.
========= ============= ==========================================================================================

An answer that is unknown, or below the threshold, counts for none of the classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from camera_demo.errors import ConfigError

if TYPE_CHECKING:  # both import cv2
    from edge.inference.prediction import Guess
    from edge.vision.preprocess import Frame

__all__ = ["LAPSE_S", "Event", "EventState", "Moment", "Observation", "Span", "Steady", "lapse", "observe"]

LAPSE_S: Final = 10.0
"""Seconds without any answer after which what was announced counts as gone."""
_RELEASE: Final = 2
_MOST_ANSWERS: Final = 10_000
_MOST_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Span:
    """A number of answers in a row, or of seconds over which they agree."""

    answers: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        is_count = self.answers is not None and self.seconds is None and 1 <= self.answers <= _MOST_ANSWERS
        is_time = self.seconds is not None and self.answers is None and 0 < self.seconds <= _MOST_S
        if not (is_count or is_time):
            raise ConfigError(f"invalid span: expected 1 to {_MOST_ANSWERS} answers, or up to {_MOST_S:.0f} seconds.")

    @classmethod
    def parse(cls, text: str) -> Span:
        """The span in ``5`` (answers) or ``0.5s`` (seconds).

        >>> Span.parse("5"), Span.parse("0.5s")
        (Span(answers=5, seconds=None), Span(answers=None, seconds=0.5))

        Raises:
            ConfigError: The text is neither, or out of range.
        """
        try:
            word = text.strip()
            return cls(seconds=float(word[:-1])) if word.endswith("s") else cls(answers=int(word))
        except (ValueError, ConfigError):
            raise ConfigError(
                f"invalid steady '{text}': expected a number of answers, e.g. 5 (at most {_MOST_ANSWERS}), or seconds, "
                f"e.g. 0.5s (at most {_MOST_S:.0f}s)."
            ) from None

    def doubled(self) -> Span:
        """A span twice as long, within the limits."""
        if self.answers is not None:
            return Span(answers=min(_MOST_ANSWERS, _RELEASE * self.answers))
        return Span(seconds=min(_MOST_S, _RELEASE * (self.seconds or 0.0)))

    def is_over(self, run: _Run, now_s: float) -> bool:
        """Whether the run is long enough. One answer alone has no length in time."""
        if self.answers is not None:
            return run.answers >= self.answers
        return run.answers > 1 and now_s - run.since_s >= (self.seconds or 0.0)


@dataclass(frozen=True, slots=True)
class Steady:
    """What it takes to announce a class, and to end it."""

    begin: Span = Span(answers=5)
    end: Span | None = None
    """None for twice ``begin``."""

    def __post_init__(self) -> None:
        for span in (self.begin, self.end):
            if not isinstance(span, Span | None):
                raise ConfigError(f"Steady takes spans, got {span!r}: Span(answers=5) or Span(seconds=0.5).")

    @property
    def release(self) -> Span:
        """What it takes to end a class."""
        return self.end or self.begin.doubled()


class Moment(NamedTuple):
    """When something was seen."""

    frame: int
    """Number of the frame."""
    position_s: float
    """Position in the stream."""
    time_s: float
    """Wall clock, seconds since 1970."""

    @property
    def iso(self) -> str:
        """The time of day in UTC, ISO 8601."""
        return datetime.fromtimestamp(self.time_s, timezone.utc).isoformat(timespec="milliseconds")


class Observation(NamedTuple):
    """One answer, as far as events depend on it."""

    guess: Guess | None
    """The best class; None where the answer is unknown or not sure."""
    moment: Moment
    image: Frame | None = None
    """The frame, uint8 (height, width, 3) BGR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A class that was seen from a start to an end."""

    number: int
    """Counts the events of a run and region, from 1."""
    region: str
    """The region's name; empty for an unnamed one, and for the whole picture."""
    label: str
    class_id: int
    start: Moment
    last: Moment
    """When it was last seen."""
    is_over: bool = False
    probability: float
    """Of the best frame."""
    best: Moment
    """The best frame: that in which the class is most probable."""
    image: Frame | None = field(default=None, repr=False, compare=False)
    """The best frame's picture."""

    @property
    def end(self) -> Moment | None:
        """When it was last seen, once it is over."""
        return self.last if self.is_over else None

    @property
    def duration_s(self) -> float:
        """Seconds from its start to where it was last seen."""
        return max(0.0, self.last.position_s - self.start.position_s)

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON values, without the picture."""
        end = self.end
        return {
            "event": "end" if self.is_over else "begin",
            "number": self.number,
            "label": self.label,
            "class_id": self.class_id,
            **({"region_name": self.region} if self.region else {}),
            "start": self.start.iso,
            "start_frame": self.start.frame,
            "start_s": round(self.start.position_s, 3),
            "end": None if end is None else end.iso,
            "end_frame": None if end is None else end.frame,
            "end_s": None if end is None else round(end.position_s, 3),
            "probability": round(self.probability, 4),
            "best_frame": self.best.frame,
        }


class _Run(NamedTuple):
    """Answers in a row."""

    since_s: float
    answers: int = 1

    def longer(self, now_s: float) -> _Run:
        """With one answer more; a clock that jumped back counts from there."""
        return _Run(min(self.since_s, now_s), self.answers + 1)


class EventState(NamedTuple):
    """What is announced, and what may be next."""

    region: str = ""
    events: int = 0
    """Number of events so far."""
    running: Event | None = None
    """What is announced, as it was when its best frame came."""
    last: Moment | None = None
    """When that was last seen."""
    waiting: Event | None = None
    """The class of the latest answers, as the event that it may become."""
    agreeing: _Run | None = None
    """The answers that agree on ``waiting``."""
    missing: _Run | None = None
    """The answers since ``running`` was last seen."""

    @property
    def label(self) -> str | None:
        """The label that is announced now."""
        return None if self.running is None else self.running.label

    @property
    def announced(self) -> Event | None:
        """The event that is announced now."""
        return None if self.running is None or self.last is None else replace(self.running, last=self.last)


def observe(state: EventState, observation: Observation, steady: Steady) -> tuple[EventState, tuple[Event, ...]]:
    """The state after one more answer, and the events that it ended and began, in this order.

    Args:
        state: The state before.
        observation: The answer.
        steady: What it takes to announce a class and to end it.
    """
    guess, moment = observation.guess, observation.moment
    now_s, running = moment.position_s, state.running
    if running is not None and guess is not None and guess.class_id == running.class_id:
        if guess.probability > running.probability:
            running = _seen(running, observation)
        return EventState(state.region, state.events, running, moment), ()
    state = _waiting(state, observation)
    if running is not None:
        state = state._replace(missing=state.missing.longer(now_s) if state.missing else _Run(now_s))
    if state.waiting is not None and state.agreeing is not None and steady.begin.is_over(state.agreeing, now_s):
        begun = replace(state.waiting, number=state.events + 1)
        return EventState(state.region, state.events + 1, begun, begun.last), (*_ended(state), begun)
    if running is not None and state.missing is not None and steady.release.is_over(state.missing, now_s):
        return state._replace(running=None, last=None, missing=None), _ended(state)
    return state, ()


def lapse(state: EventState) -> tuple[EventState, tuple[Event, ...]]:
    """The state after a while without answers, or at the end of them, and the event that is over with it."""
    return EventState(state.region, state.events), _ended(state)


def _ended(state: EventState) -> tuple[Event, ...]:
    """The event that is announced, over; none where there is none."""
    announced = state.announced
    return () if announced is None else (replace(announced, is_over=True),)


def _seen(event: Event, observation: Observation) -> Event:
    """The event after another answer of its class."""
    event = replace(event, last=observation.moment)
    guess = observation.guess
    if guess is None or guess.probability <= event.probability:
        return event
    return replace(event, probability=guess.probability, best=observation.moment, image=observation.image)


def _waiting(state: EventState, observation: Observation) -> EventState:
    """The state with the answer among those that wait."""
    guess, moment = observation.guess, observation.moment
    if guess is None:
        return state._replace(waiting=None, agreeing=None)
    if state.waiting is not None and state.agreeing is not None and state.waiting.class_id == guess.class_id:
        agreeing = state.agreeing.longer(moment.position_s)
        return state._replace(waiting=_seen(state.waiting, observation), agreeing=agreeing)
    event = Event(
        number=0,
        region=state.region,
        label=guess.label,
        class_id=guess.class_id,
        start=moment,
        last=moment,
        probability=guess.probability,
        best=moment,
        image=observation.image,
    )
    return state._replace(waiting=event, agreeing=_Run(moment.position_s))
