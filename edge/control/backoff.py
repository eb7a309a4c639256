"""How long to wait before a better variant is tried again, from the outcome of earlier tries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from edge.board.health import LOAD_LIMIT_PERCENT
from edge.operating_points import OperatingPoint

__all__ = ["Backoff"]

SHORTEST_S: Final = 3.0
"""How long a better variant must have had room before it is taken."""
LONGEST_S: Final = 60.0
"""The wait doubles up to this each time a better variant turned out too slow."""
_WHILE_LOADED: Final = 4.0
"""The wait is this many times as long while the load lasts that made frames late."""
_LOAD_LASTS: Final = 0.75
_LOAD_ENDED: Final = 0.5
_SLOWDOWN_ENDED: Final = 0.8
"""Shares of the values at the downgrade: above the first the load is still the same, below the others the load and the
slowdown are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The last downgrade and upgrade. Times are seconds of any one clock."""

    base_s: float = SHORTEST_S
    upgraded_at_s: float | None = None
    origin: OperatingPoint | None = None
    """Where the downgrades began; None when that point is reached again."""
    slowdown_then: float = 0.0
    load_then: float = 0.0
    load_now: float | None = None
    """Work of other processes, in percent of one CPU."""

    @property
    def wait_s(self) -> float:
        """How long a better variant must have had room now."""
        load = self.load_now or 0.0
        lasts = load > LOAD_LIMIT_PERCENT and self.origin is not None and load >= _LOAD_LASTS * self.load_then
        return min(LONGEST_S, _WHILE_LOADED * self.base_s) if lasts else self.base_s

    def recovery_target(self, slowdown: float) -> OperatingPoint | None:
        """Where the downgrades began, if their cause is over: the load ended, or frames take clearly less than then.

        The slowdown alone does not show it: a profile is too kind to fast variants, which never make up for what a
        camera's pauses cost them.
        """
        has_ended = self.load_then > LOAD_LIMIT_PERCENT and (self.load_now or 0.0) < _LOAD_ENDED * self.load_then
        return self.origin if has_ended or slowdown < _SLOWDOWN_ENDED * self.slowdown_then else None

    def on_load(self, load_percent: float | None) -> Backoff:
        """Note the work of other processes."""
        then = max(self.load_then, load_percent or 0.0) if self.origin is not None else self.load_then
        return replace(self, load_now=load_percent, load_then=then)

    def on_downgrade(self, point: OperatingPoint, slowdown: float, now_s: float) -> Backoff:
        """Note that frames of ``point`` were late; soon after an upgrade, the upgrade failed."""
        base_s = self.base_s
        if self.upgraded_at_s is not None:
            has_failed = now_s - self.upgraded_at_s < LONGEST_S
            base_s = min(LONGEST_S, 2 * base_s) if has_failed else SHORTEST_S
        is_first = self.origin is None
        return replace(
            self,
            base_s=base_s,
            upgraded_at_s=None,
            origin=point if is_first else self.origin,
            slowdown_then=slowdown if is_first else max(self.slowdown_then, slowdown),
            load_then=(self.load_now or 0.0) if is_first else self.load_then,
        )

    def on_upgrade(self, point: OperatingPoint, now_s: float) -> Backoff:
        """Note that ``point`` was taken."""
        is_back = self.origin is not None and point.p95_ms >= self.origin.p95_ms
        return replace(self, upgraded_at_s=now_s, origin=None if is_back else self.origin)

    def after_jump(self) -> Backoff:
        """The clock jumped: the time of the last upgrade is not known."""
        return replace(self, upgraded_at_s=None)

    def restarted(self) -> Backoff:
        """The budget or the choice is another: earlier outcomes no longer count."""
        return replace(self, base_s=SHORTEST_S, upgraded_at_s=None, origin=None)
