"""Which answers' frames are kept: by the reasons that are asked for, within quotas, and none twice."""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final

from camera_demo.collecting.collection import Collection
from camera_demo.collecting.novelty import NEAR
from camera_demo.collecting.options import CollectOptions
from camera_demo.collecting.picture import Collected
from camera_demo.frames import Result
from edge.errors import EdgeError, os_reason
from edge.vision.preprocess import Frame

__all__ = ["Collector"]

_log = logging.getLogger(__name__)
_BURST_S: Final = 3.0
"""Frames that follow each other within this time are of one burst: they show nearly the same."""
_RETRY_S: Final = 60.0
_MOST_ASKED: Final = 200
_ASKED_NEAR: Final = 1.0
"""As :data:`NEAR`, of frames that were asked for: turned a little, a thing looks much the same."""
_ASKED_EVERY_S: Final = 0.2


class Collector:
    """Keeps frames in a :class:`Collection`. Frames come from one thread, requests from any."""

    def __init__(
        self,
        collection: Collection,
        options: CollectOptions = CollectOptions(),
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.collection = collection
        self._options, self._draw = options, draw
        self._guard = threading.Lock()
        self._asked, self._label = 0, ""
        self._kept_s: deque[float] = deque(maxlen=options.hour)
        self._regular_s = self._asked_s = float("-inf")
        self._burst, self._burst_s = "", float("-inf")
        self._paused_until_s = float("-inf")
        self._was_full = False
        self.kept = 0
        """Frames kept so far."""

    def ask(self, count: int, label: str = "") -> None:
        """Keep the next frames that differ from those kept, and give them a class if one is named; 0 to stop."""
        with self._guard:
            self._asked, self._label = min(count, _MOST_ASKED), label
            self._burst = ""

    @property
    def asked(self) -> int:
        """Frames asked for that are still to come."""
        return self._asked

    def see(self, result: Result) -> Collected | None:
        """Keep the frame of an answer, if there is a reason to; what was kept.

        What goes wrong with the folder is told, and tried again in a minute: it must not end the live loop.
        """
        now_s = result.frame.captured_at_s
        if result.is_kept or now_s < self._paused_until_s:
            return None
        why = self._reason(result, now_s)
        if not why or (why != "asked" and not self._is_within_rate(now_s)):
            return None
        image = result.frame.image if result.region is None else result.region.of(result.frame.image)
        if self.collection.distance(image) < (_ASKED_NEAR if why == "asked" else NEAR):
            return None
        try:
            return self._keep(image, result, why, now_s)
        except OSError as reason:
            self._paused_until_s = now_s + _RETRY_S
            why = str(reason) if isinstance(reason, EdgeError) else f"Cannot collect: {os_reason(reason)}."
            _log.warning("%s Nothing is collected for %d s.", why, _RETRY_S)
            return None

    def _reason(self, result: Result, now_s: float) -> str:
        options, best = self._options, result.prediction.best.probability
        if self._asked and now_s - self._asked_s >= _ASKED_EVERY_S:
            return "asked"
        if options.unknown and result.is_unknown:
            return "unknown"
        if options.unsure is not None and options.unsure[0] <= best <= options.unsure[1]:
            return "unsure"
        if options.every is not None and now_s - self._regular_s >= options.every:
            return "every"
        return "share" if options.share and self._draw() < options.share else ""

    def _is_within_rate(self, now_s: float) -> bool:
        recent = [kept_s for kept_s in self._kept_s if now_s - kept_s < 3600]
        return len(recent) < self._options.hour and sum(now_s - s < 60 for s in recent) < self._options.minute

    def _keep(self, image: Frame, result: Result, why: str, now_s: float) -> Collected | None:
        if not self._make_room(result):
            return None
        moment = datetime.fromtimestamp(result.answered_at_s, timezone.utc)
        with self._guard:
            label = self._label if why == "asked" else ""
            if not self._burst or now_s - self._burst_s > _BURST_S:
                self._burst = f"{moment:%Y%m%d-%H%M%S}.{moment.microsecond // 1000:03}"
            self._burst_s, stem = now_s, self._burst
        prediction = result.prediction
        kept = self.collection.add(
            image,
            Collected(
                file=self.collection.free_name(stem),
                time=moment.isoformat(timespec="milliseconds"),
                why=why,
                guesses=tuple((guess.label, guess.probability) for guess in prediction.guesses),
                unknown=result.is_unknown,
                variant=result.variant,
                region=result.region_name,
            ),
        )
        if label:
            self.collection.label([kept.file], label)
        self.kept += 1
        if why == "asked":
            self._asked_s = now_s
            with self._guard:
                self._asked = max(0, self._asked - 1)
        else:
            self._kept_s.append(now_s)
        if why == "every":
            self._regular_s = now_s
        return kept

    def _make_room(self, result: Result) -> bool:
        """Let the most redundant pictures go that nobody has labelled, the oldest of equals; whether there is room."""
        if not self.collection.has_room():
            return self._complain("The disk is nearly full: nothing is collected until there is room.")
        labels = self.collection.labels()
        free = [one for one in self.collection.pictures() if one.file not in labels]
        guess = result.prediction.best.label
        alike = [one for one in free if one.guess == guess]
        if len(alike) >= self._options.per_class:
            self.collection.drop(min(alike, key=lambda one: (one.novelty, one.time)).file)
        while self.collection.size_bytes > 1e6 * self._options.mb:
            free = [one for one in self.collection.pictures() if one.file not in labels]
            if not free:
                return self._complain(
                    f"{self.collection.folder} holds {self._options.mb:g} MB of labelled pictures: nothing more is "
                    "collected."
                )
            self.collection.drop(min(free, key=lambda one: (one.novelty, one.time)).file)
        self._was_full = False
        return True

    def _complain(self, message: str) -> bool:
        if not self._was_full:
            self._was_full = True
            _log.warning("%s", message)
        return False
