"""Where the loop's thread publishes its answers and any number of browsers read the newest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.overlay import draw
from camera_demo.run_state import RunState
from camera_demo.thumbnail import jpeg
from camera_demo.web.event_log import EventLog

__all__ = ["Hub", "wait_for"]

_MAX_WIDTH: Final = 1280
"""Wider pictures are scaled down before they are sent."""
_WAKE_S: Final = 0.03
"""Least time between two wake-ups of the watchers, which would cost a fast loop its CPU."""
_SAMPLE_S: Final = 0.5
_SAMPLES: Final = 240
"""Two minutes for the chart."""


class Hub:
    """The newest answer: one thread publishes, many coroutines of another thread watch.

    Publishing never waits and costs microseconds, however many watch: pictures are drawn and encoded by the server's
    thread, once for all of them.
    """

    def __init__(self, run_state: RunState, clock: Callable[[], float] = time.monotonic) -> None:
        self.run_state = run_state
        """State of the run."""
        self.events = EventLog()
        """The last events."""
        self.watchers = 0
        """Streams that are being sent."""
        self.is_closed = False
        self._clock = clock
        self._result: Result | None = None
        self._published_s = self._woke_s = 0.0
        self._samples: deque[tuple[float, float, float, float]] = deque(maxlen=_SAMPLES)
        self._latencies_ms: list[float] = []
        self._sampled_s = clock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._encoding = asyncio.Lock()
        self._encoded: dict[bool, tuple[Result, bytes]] = {}
        run_state.source.subscribe(lambda status: self._wake())

    @property
    def answer(self) -> dict[str, Any] | None:
        """The newest answer as JSON values; None before the first."""
        return None if self._result is None else self._result.to_dict()

    @property
    def result(self) -> Result | None:
        """The newest answer; None before the first."""
        return self._result

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest answer; None before the first."""
        return None if self._result is None else self._clock() - self._published_s

    def history(self) -> list[dict[str, float]]:
        """The last two minutes, twice a second: age, rate, median and maximum latency."""
        now_s = self._clock()
        names = ("age_s", "fps", "median_ms", "max_ms")
        samples = list(self._samples)
        return [dict(zip(names, (round(now_s - at_s, 2), *rest), strict=True)) for at_s, *rest in samples]

    def publish(self, result: Result) -> None:
        """Replace the newest answer. Called by the loop's thread; never waits."""
        now_s = self._clock()
        self._result, self._published_s = result, now_s
        self._latencies_ms.append(result.answer_ms)
        if now_s - self._sampled_s >= _SAMPLE_S:
            ordered = sorted(self._latencies_ms)
            median, maximum = ordered[len(ordered) // 2], ordered[-1]
            self._samples.append((now_s, round(result.fps, 2), round(median, 2), round(maximum, 2)))
            self._latencies_ms, self._sampled_s = [], now_s
        if now_s - self._woke_s >= _WAKE_S:
            self._woke_s = now_s
            self._wake()

    def publish_event(self, event: Event) -> None:
        """Keep an event. Called by the loop's thread; never waits."""
        self.events.add(event)
        self._wake()

    def close(self) -> None:
        """End every stream."""
        self.is_closed = True
        self._wake()
        self.events.close()

    async def next(self, last: Result | None, timeout_s: float) -> Result | None:
        """The newest answer other than ``last``, waiting for one; None after ``timeout_s``, or once closed."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while not self.is_closed:
            news = self.news()
            if self._result is not None and self._result is not last:
                return self._result
            if not await wait_for(news, end_s - loop.time()):
                return None
        return None

    def news(self) -> asyncio.Event:
        """An event that the next answer or change of the source sets. Take it before reading either."""
        self._loop = asyncio.get_running_loop()
        return self._news

    async def jpeg(self, result: Result, *, is_annotated: bool) -> bytes:
        """The picture as JPEG, encoded once for all who watch, in a thread of its own."""
        async with self._encoding:
            known = self._encoded.get(is_annotated)
            if known is None or known[0] is not result:
                known = result, await asyncio.to_thread(_encode, result, is_annotated)
                self._encoded[is_annotated] = known
            return known[1]

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the server's thread has closed it: nobody watches
                loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


async def wait_for(news: asyncio.Event, timeout_s: float) -> bool:
    """Wait until ``news`` is set; False after ``timeout_s``."""
    try:
        return await asyncio.wait_for(news.wait(), timeout_s)
    except (asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
        return False


def _encode(result: Result, is_annotated: bool) -> bytes:
    return jpeg(draw(result) if is_annotated else result.frame.image, _MAX_WIDTH)
