"""Foresee that a board will slow itself down, from its temperature, its limit and its throttle bits."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from edge.board.health import Health

__all__ = ["Heat", "HeatTuning"]

_UNDER_VOLTAGE: Final = 0b0001
_HELD_BACK: Final = 0b1110
"""Frequency capped, throttled, soft temperature limit: of ``vcgencmd get_throttled``, now."""
_POSSIBLE_C: Final = (-40.0, 150.0)
_DEFAULT_LIMIT_C: Final = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatTuning:
    """When a board counts as hot, and for how long it is spared then."""

    limit_c: float = _DEFAULT_LIMIT_C
    """Where the board begins to throttle, if it does not tell. 80 °C is the Raspberry Pi's: "When the core
    temperature is between 80°C and 85°C, the Arm cores will be throttled back" (Raspberry Pi documentation,
    Frequency management and thermal control)."""
    near_c: float = 2.0
    """So far below the limit the board counts as hot, whatever the trend."""
    cool_c: float = 8.0
    """So far below the limit it counts as cool again."""
    watch_c: float = 10.0
    """Nearer to the limit than this it is hot as well if, at the pace of the last :attr:`trend_s`, it reaches the
    limit within :attr:`horizon_s`. Further below, a board that has just begun to work warms up fast and stops."""
    horizon_s: float = 30.0
    trend_s: float = 30.0
    step_s: float = 20.0
    """Between two steps down: what the first one does to the temperature takes a while to show."""
    rest_s: float = 60.0
    """How long a board must have been cool before it gets more work; doubles up to :attr:`longest_rest_s`."""
    longest_rest_s: float = 960.0
    relief: float = 0.7
    """The share of the work that is left after a step down."""


class Heat:
    """Watches one board. Times are seconds of any one clock."""

    def __init__(self, tuning: HeatTuning = HeatTuning()) -> None:
        self.tuning = tuning
        self._seen: deque[tuple[float, float]] = deque()
        self._is_hot = self._is_under_voltage = False
        self._stepped_at_s = self._cool_since_s = -math.inf
        self._rest_s = tuning.rest_s

    @property
    def is_hot(self) -> bool:
        """Whether the board is at its limit, or about to be."""
        return self._is_hot

    def felt(self, health: Health, now_s: float) -> str | None:
        """Take in a look at the board. What it does not tell, or what cannot be, changes nothing.

        Returns:
            Why work should be taken from it now, as a clause; None if it should not.
        """
        temperature_c = _possible(health.temperature_c)
        limit_c = _possible(health.limit_c) or self.tuning.limit_c
        if health.throttle_bits is not None:
            self._is_under_voltage = bool(health.throttle_bits & _UNDER_VOLTAGE)
        is_held_back = bool((health.throttle_bits or 0) & _HELD_BACK) or bool(health.held_back)
        reason = "the board reports that it is throttled" if is_held_back else None
        if temperature_c is not None:
            reason = reason or self._heat(temperature_c, limit_c, now_s)
        if reason is not None:
            self._heat_up(now_s)
        elif self._is_hot and (temperature_c is None or temperature_c <= limit_c - self.tuning.cool_c):
            is_known = temperature_c is not None or health.throttle_bits is not None
            self._is_hot, self._cool_since_s = not is_known, now_s
        if reason is None or now_s - self._stepped_at_s < self.tuning.step_s:
            return None
        self._stepped_at_s = now_s
        return reason

    def forbids_climbing(self, now_s: float) -> bool:
        """Whether more work would be too much: hot, not cool for long enough, or short of power."""
        return self._is_hot or self._is_under_voltage or now_s - self._cool_since_s < self._rest_s

    def forget(self) -> None:
        """Drop what was seen, because the clock jumped; a board that was hot stays so until a look tells otherwise."""
        self._seen.clear()
        self._stepped_at_s = self._cool_since_s = -math.inf

    def _heat(self, temperature_c: float, limit_c: float, now_s: float) -> str | None:
        """Why this temperature is too much, if it is."""
        left_c = limit_c - temperature_c
        rise_c_per_s = self._rise_c_per_s(-left_c, now_s)  # another zone, of another limit, may be the nearest now
        if left_c <= self.tuning.near_c:
            return f"{temperature_c:.0f} °C, the limit is {limit_c:.0f} °C"
        if left_c <= self.tuning.watch_c and left_c <= rise_c_per_s * self.tuning.horizon_s:
            return f"{temperature_c:.0f} °C and rising, {limit_c:.0f} °C in about {left_c / rise_c_per_s:.0f} s"
        return None

    def _rise_c_per_s(self, above_limit_c: float, now_s: float) -> float:
        """The pace of the last while; 0 as long as little was seen."""
        self._seen.append((now_s, above_limit_c))
        while self._seen[0][0] < now_s - self.tuning.trend_s:
            self._seen.popleft()
        then_s, then_c = self._seen[0]
        return (above_limit_c - then_c) / (now_s - then_s) if now_s - then_s >= self.tuning.trend_s / 3 else 0.0

    def _heat_up(self, now_s: float) -> None:
        """Count as hot; soon after the last rest, the next one is twice as long."""
        if not self._is_hot:
            was_long_ago = now_s - self._cool_since_s > self.tuning.longest_rest_s
            self._rest_s = self.tuning.rest_s if was_long_ago else min(2 * self._rest_s, self.tuning.longest_rest_s)
        self._is_hot = True


def _possible(value_c: float | None) -> float | None:
    """The temperature, unless no board could have it."""
    return value_c if value_c is not None and _POSSIBLE_C[0] <= value_c <= _POSSIBLE_C[1] else None
