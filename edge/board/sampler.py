"""A thread that samples the machine's health every few seconds and passes it on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType

from edge.board.cpu_load import LoadMeter
from edge.board.health import Health, glance

__all__ = ["HealthSampler"]

_log = logging.getLogger(__name__)


class HealthSampler:
    """Samples temperature, throttle bits and load while a block runs.

    An exception in between is logged once and does not end the thread.

    >>> with HealthSampler(classifier.on_health):
    ...     loop.run(source, stop)
    """

    def __init__(
        self, tell: Callable[[Health], None], *, every_s: float = 2.0, look: Callable[[], Health] | None = None
    ) -> None:
        """Prepare the thread.

        Args:
            tell: Takes each look, in the thread of this sampler.
            every_s: Seconds between two looks, beside what a look takes.
            look: Looks; None for :func:`edge.board.health.glance` at this machine, with the load since the last look.
        """
        self._tell, self._every_s = tell, every_s
        self._look = look or partial(glance, load_percent=LoadMeter().percent)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; does nothing where it has begun."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="health", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End, after at most one more look. A second call does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def __enter__(self) -> HealthSampler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        has_failed = False
        while not self._stop.wait(self._every_s):
            try:
                self._tell(self._look())
            except Exception as error:  # noqa: BLE001 - one look that fails must not be the last
                if not has_failed:
                    _log.warning(
                        "Sampling the board's health failed (%s: %s); it goes on.", type(error).__name__, error
                    )
                has_failed = True
