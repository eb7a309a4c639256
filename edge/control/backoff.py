"""How long to wait before a better variant is tried again, from what came of it before."""

from __future__ import annotations

from typing import Final

from edge.board.health import LOAD_LIMIT_PERCENT
from edge.control.ladder import Rung

__all__ = ["Patience"]

_LASTING: Final = 4.0
_LOAD_LASTS: Final = 0.75
_LOAD_ENDED: Final = 0.5
_SLOWDOWN_ENDED: Final = 0.8
"""Shares of what there was when frames came late: above the first the load is still the same, below the others the
load and the slowdown are over."""


class Patience:
    """Remembers the last falls and climbs. Times are seconds of any one clock."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        """Begin with no memory.

        Args:
            shortest_s: The usual wait.
            longest_s: The wait doubles up to this each time a climb did not hold.
        """
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._wait_s = shortest_s
        self._climbed_at_s: float | None = None
        self._fell_from: Rung | None = None
        self._slowdown = self._load_then = 0.0
        self._load_now: float | None = None

    @property
    def wait_s(self) -> float:
        """The wait now; four times as long while the other work goes on that was there when frames came late."""
        load = self._load_now or 0.0
        lasts = load > LOAD_LIMIT_PERCENT and self._fell_from is not None and load >= _LOAD_LASTS * self._load_then
        return min(self._longest_s, _LASTING * self._wait_s) if lasts else self._wait_s

    def way_back(self, slowdown: float) -> Rung | None:
        """From where frames became late, if what made them late is over; None if it is not, or there is none.

        It is over when the other work has ended, or frames take clearly less than then. The slowdown alone does not
        tell: a profile is too kind to fast variants, which never make up for what a camera's pauses cost them.
        """
        has_ended = self._load_then > LOAD_LIMIT_PERCENT and (self._load_now or 0.0) < _LOAD_ENDED * self._load_then
        return self._fell_from if has_ended or slowdown < _SLOWDOWN_ENDED * self._slowdown else None

    def felt(self, load_percent: float | None) -> None:
        """Note the work of other processes, in percent of one CPU."""
        self._load_now = load_percent
        if self._fell_from is not None:
            self._load_then = max(self._load_then, load_percent or 0.0)

    def fell(self, rung: Rung, slowdown: float, now_s: float) -> None:
        """Note that frames of ``rung`` came late; soon after a climb, the climb did not hold."""
        if self._fell_from is None:
            self._fell_from, self._slowdown, self._load_then = rung, slowdown, self._load_now or 0.0
        self._slowdown = max(self._slowdown, slowdown)
        if self._climbed_at_s is not None:
            has_failed = now_s - self._climbed_at_s < self._longest_s
            self._wait_s = min(self._longest_s, 2 * self._wait_s) if has_failed else self._shortest_s
        self._climbed_at_s = None

    def climbed(self, rung: Rung, now_s: float) -> None:
        """Note that ``rung`` was taken again."""
        self._climbed_at_s = now_s
        if self._fell_from is not None and rung.p95_ms >= self._fell_from.p95_ms:
            self._fell_from = None

    def forget_time(self) -> None:
        """The clock jumped: when the last climb was is not known."""
        self._climbed_at_s = None

    def begin_anew(self) -> None:
        """The budget is another one, or somebody chose: what came of climbs before says nothing."""
        self._wait_s, self._climbed_at_s, self._fell_from = self._shortest_s, None, None
