"""Which class is announced in each region of the picture, and the events of its coming and going."""

from __future__ import annotations

from collections.abc import Callable

from camera_demo.events import Event, EventState, Moment, Observation, lapse, observe
from camera_demo.options import ClassifyOptions
from edge.inference.prediction import Guess
from edge.vision.preprocess import Frame

__all__ = ["Announcer"]


class Announcer:
    """Follows the answers of each region. For one thread."""

    def __init__(self, options: ClassifyOptions, on_event: Callable[[Event], None]) -> None:
        """Begin with nothing announced.

        Args:
            options: What is announced: ``steady``, and only ``watched`` where it names classes.
            on_event: Called with each event when it begins and when it is over.
        """
        self._steady, self._watched, self._on_event = options.steady, options.watched, on_event
        self._states: dict[str, EventState] = {}

    def observe(self, region: str, best: Guess | None, moment: Moment, picture: Frame) -> str | None:
        """Take an answer's best class, which is None where the answer is unknown.

        Returns:
            The label that is announced in the region after it; None for none.
        """
        if self._steady is None:
            return None
        is_watched = best is not None and (not self._watched or best.label in self._watched)
        observation = Observation(best if is_watched else None, moment, picture)
        state, events = observe(self._states.get(region) or EventState(region), observation, self._steady)
        self._states[region] = state
        for event in events:
            self._on_event(event)
        return state.label

    def lapse(self) -> None:
        """End what is announced: there are no answers any more. The numbers of events run on."""
        for region, state in self._states.items():
            self._states[region], events = lapse(state)
            for event in events:
                self._on_event(event)
