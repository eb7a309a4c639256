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
        losses: Callable[[], int] = lambda: 0,
    ) -> None:
        """Begin.

        Args:
            collection: Where they are kept.
            options: Which, and how many.
            draw: Random numbers, 0 to 1.
            losses: How often the source broke off so far.
        """
        self.collection = collection
        self._losses, self._asked_losses = losses, 0
        self._taken = 0
        self._burst_note = self._pause_note = ""
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
        """Begin a burst: keep the next frames that differ from those kept, and give them a class if one is named.

        A burst ends with its last frame, with the next one, with 0, and where the source breaks off: whoever asked may
        have put the thing away until it is back. What was taken by then stays, each picture whole and with its class.
        """
        with self._guard:
            self._asked, self._label = min(count, _MOST_ASKED), label
            self._burst, self._taken = "", 0
            self._asked_losses = self._losses()
            if count:
                self._burst_note = ""

    @property
    def asked(self) -> int:
        """Frames asked for that are still to come."""
        with self._guard:
            if self._asked and self._losses() != self._asked_losses:
                taken = f"{self._taken} picture{'' if self._taken == 1 else 's'}"
                of = f" of '{self._label}'" if self._label else ""
                rest = "were taken and are kept" if self._taken != 1 else "was taken and is kept"
                self._burst_note = f"The camera was lost: {taken}{of} {rest}. Once it is back, hold the button again."
                self._asked = 0
            return self._asked

    @property
    def note(self) -> str:
        """Why nothing is kept, or less than was asked for; empty where all is well."""
        return self._burst_note or self._pause_note

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
            kept = self._keep(image, result, why, now_s)
            self._pause_note = "" if kept else self._pause_note
            return kept
        except OSError as reason:
            self._paused_until_s = now_s + _RETRY_S
            why = str(reason) if isinstance(reason, EdgeError) else f"Cannot collect: {os_reason(reason)}."
            self._pause_note = f"{why} Nothing is collected for {_RETRY_S:.0f} s."
            _log.warning("%s", self._pause_note)
            return None

    def _reason(self, result: Result, now_s: float) -> str:
        options, best = self._options, result.prediction.best.probability
        if self.asked and now_s - self._asked_s >= _ASKED_EVERY_S:
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
                self._asked, self._taken = max(0, self._asked - 1), self._taken + 1
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
            self._was_full, self._pause_note = True, message
            _log.warning("%s", message)
        return False
