"""Foresee that a board will throttle itself, from its temperature, its limit and its throttle bits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from edge.board.health import Health

__all__ = ["LIMIT_C", "NEAR_C", "Thermal", "on_health"]

LIMIT_C: Final = 80.0
"""Where a board that does not say so begins to throttle. The Raspberry Pi's: "When the core temperature is between
80°C and 85°C, the Arm cores will be throttled back" (Raspberry Pi documentation, Frequency management and thermal
control)."""
NEAR_C: Final = 2.0
"""This close to the limit a board counts as hot, whatever the trend."""
COOL_C: Final = 8.0
"""This far below the limit it counts as cool again."""
WATCH_C: Final = 10.0
"""Closer to the limit than this it is also hot if, at its present pace, it reaches the limit within :data:`HORIZON_S`.
Further below, a board that has just begun to work warms up fast and stops."""
HORIZON_S: Final = 30.0
TREND_S: Final = 30.0
STEP_S: Final = 20.0
"""Between two steps down: the effect of the first on the temperature takes a while to show."""
REST_S: Final = 60.0
"""How long a board must have been cool before it gets more work; doubles up to :data:`LONGEST_REST_S`."""
LONGEST_REST_S: Final = 960.0
_UNDER_VOLTAGE: Final = 0b0001
_THROTTLED: Final = 0b1110
"""Frequency capped, throttled, soft temperature limit: of ``vcgencmd get_throttled``, now."""
_POSSIBLE_C: Final = (-40.0, 150.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal:
    """What is known of one board's heat. Times are seconds of any one clock."""

    trend: tuple[tuple[float, float], ...] = ()
    """(time, °C left to the limit) of the last :data:`TREND_S`, of whichever sensor was nearest to its limit."""
    is_hot: bool = False
    """At its limit, or about to be."""
    is_under_voltage: bool = False
    stepped_at_s: float = -math.inf
    cool_since_s: float = -math.inf
    rest_s: float = REST_S

    def forbids_more_work(self, now_s: float) -> bool:
        """Whether the board is hot, not cool for long enough, or short of power."""
        return self.is_hot or self.is_under_voltage or now_s - self.cool_since_s < self.rest_s

    def after_jump(self) -> Thermal:
        """What is left when the clock jumped: a hot board stays hot until a reading says otherwise."""
        return replace(self, trend=(), stepped_at_s=-math.inf, cool_since_s=-math.inf)


def on_health(state: Thermal, health: Health, now_s: float) -> tuple[Thermal, str | None]:
    """Take in one reading. What the board does not report, or what is impossible, changes nothing.

    Returns:
        The new state, and the reason for less work now as a clause; None if there is no reason.
    """
    temperature_c = _possible(health.temperature_c)
    limit_c = _possible(health.limit_c) or LIMIT_C
    if health.throttle_bits is not None:
        state = replace(state, is_under_voltage=bool(health.throttle_bits & _UNDER_VOLTAGE))
    is_throttled = bool((health.throttle_bits or 0) & _THROTTLED) or bool(health.held_back)
    reason = "the board reports that it is throttled" if is_throttled else None
    if temperature_c is not None:
        recent = tuple(seen for seen in state.trend if seen[0] >= now_s - TREND_S)
        state = replace(state, trend=(*recent, (now_s, limit_c - temperature_c)))
        reason = reason or _too_hot(state.trend, limit_c)
    if reason is not None:
        rested_long = now_s - state.cool_since_s > LONGEST_REST_S
        rest_s = REST_S if rested_long else min(2 * state.rest_s, LONGEST_REST_S)
        state = replace(state, is_hot=True, rest_s=state.rest_s if state.is_hot else rest_s)
    elif state.is_hot and (temperature_c is None or temperature_c <= limit_c - COOL_C):
        is_known = temperature_c is not None or health.throttle_bits is not None
        state = replace(state, is_hot=not is_known, cool_since_s=now_s)
    if reason is None or now_s - state.stepped_at_s < STEP_S:
        return state, None
    return replace(state, stepped_at_s=now_s), reason


def _too_hot(trend: tuple[tuple[float, float], ...], limit_c: float) -> str | None:
    """Why the last temperature is too high, if it is."""
    (then_s, then_left_c), (now_s, left_c) = trend[0], trend[-1]
    rise_c_per_s = (then_left_c - left_c) / (now_s - then_s) if now_s - then_s >= TREND_S / 3 else 0.0
    now_c = limit_c - left_c
    if left_c <= NEAR_C:
        return f"{now_c:.0f} °C, the limit is {limit_c:.0f} °C"
    if left_c <= WATCH_C and left_c <= rise_c_per_s * HORIZON_S:
        return f"{now_c:.0f} °C and rising, {limit_c:.0f} °C in about {left_c / rise_c_per_s:.0f} s"
    return None


def _possible(value_c: float | None) -> float | None:
    """The temperature, unless no board can have it."""
    return value_c if value_c is not None and _POSSIBLE_C[0] <= value_c <= _POSSIBLE_C[1] else None
