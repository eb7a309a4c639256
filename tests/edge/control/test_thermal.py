"""Heat foreseen: by the limit, by the pace, by what the board reports, never by a lie."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board.health import Health
from edge.control.thermal import Thermal, on_health


class Heat:
    """One board's state, reading after reading."""

    def __init__(self) -> None:
        self.state = Thermal()

    def on_health(self, health: Health, now_s: float) -> str | None:
        self.state, reason = on_health(self.state, health, now_s)
        return reason


def reasons(
    heat: Heat, course: Callable[[float], Health], seconds: float, start_s: float = 0.0
) -> list[tuple[float, str]]:
    """What a look every two seconds says."""
    found = []
    for step in range(int(seconds / 2)):
        now_s = start_s + 2.0 * step
        reason = heat.on_health(course(now_s), now_s)
        found += [(now_s, reason)] if reason else []
    return found


def at(temperature_c: float, **others: object) -> Callable[[float], Health]:
    return lambda now_s: Health(temperature_c=temperature_c, **others)  # type: ignore[arg-type]


def test_a_cool_board_may_do_anything() -> None:
    heat = Heat()
    assert reasons(heat, at(55.0), 60) == []
    assert not heat.state.is_hot
    assert not heat.state.forbids_more_work(60.0)


def test_near_the_limit_work_is_taken_away_every_twenty_seconds() -> None:
    found = reasons(Heat(), at(79.0), 60)
    assert [now_s for now_s, _ in found] == [0.0, 20.0, 40.0]
    assert found[0][1] == "79 °C, the limit is 80 °C"


def test_the_boards_own_limit_counts() -> None:
    assert reasons(Heat(), at(90.0, limit_c=99.0), 60) == []
    assert reasons(Heat(), at(97.5, limit_c=99.0), 2)[0][1] == "98 °C, the limit is 99 °C"
    assert reasons(Heat(), at(59.0, limit_c=60.0), 2) != []


def test_a_board_that_will_soon_be_there_counts_as_hot() -> None:
    found = reasons(Heat(), lambda now_s: Health(temperature_c=70.5 + 0.3 * now_s), 24)
    assert found[0][0] <= 12.0
    assert found[0][1].endswith("and rising, 80 °C in about 22 s")


def test_a_change_of_the_zone_nearest_to_its_limit_is_no_rise() -> None:
    def course(now_s: float) -> Health:
        """A processor at 71 °C of 80, and memory steady at 96 °C of 105.5, which is nearer once the former cools."""
        in_memory = now_s >= 16
        return Health(temperature_c=96.0 if in_memory else 71.0, limit_c=105.5 if in_memory else 80.0)

    assert reasons(Heat(), course, 60) == []


def test_a_board_that_warms_up_from_cold_does_not() -> None:
    assert reasons(Heat(), lambda now_s: Health(temperature_c=40 + min(1.0 * now_s, 28)), 60) == []


@pytest.mark.parametrize("bits", [0x2, 0x4, 0x8, 0xE000E])
def test_what_the_board_reports_counts(bits: int) -> None:
    assert reasons(Heat(), at(50.0, throttle_bits=bits), 2)[0][1] == "the board reports that it is throttled"


def test_so_does_a_cooling_device_at_work() -> None:
    assert reasons(Heat(), at(50.0, held_back=("cpufreq-cpu0",)), 2) != []


def test_rest_after_heat_grows_each_time_it_comes_back_soon() -> None:
    heat, now_s, rests = Heat(), 0.0, []
    for _ in range(3):
        heat.on_health(Health(temperature_c=79.5), now_s)
        assert heat.state.is_hot
        heat.on_health(Health(temperature_c=60.0), now_s + 10)
        cool_s = now_s + 10
        rest = next(s for s in range(2000) if not heat.state.forbids_more_work(cool_s + s))
        rests.append(rest)
        now_s = cool_s + rest + 5
    assert rests == [60, 120, 240]


def test_a_sensor_that_falls_silent_does_not_cool_the_board() -> None:
    heat = Heat()
    heat.on_health(Health(temperature_c=79.5), 0.0)
    heat.on_health(Health(), 2.0)
    assert heat.state.is_hot
    heat.on_health(Health(throttle_bits=0), 4.0)
    assert not heat.state.is_hot, "the board says so itself"


def test_a_clock_that_jumps_leaves_a_hot_board_hot() -> None:
    heat = Heat()
    heat.on_health(Health(temperature_c=79.5), 1e6)
    heat.state = heat.state.after_jump()
    assert heat.state.is_hot
    assert heat.on_health(Health(temperature_c=79.5), 0.0) is not None


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.integers(0, 0xFFFFF))), max_size=30)
)
def test_whatever_sensors_say_it_answers(looks: list[tuple[float | None, int | None]]) -> None:
    heat = Heat()
    for number, (temperature_c, bits) in enumerate(looks):
        reason = heat.on_health(
            Health(temperature_c=temperature_c, limit_c=temperature_c, throttle_bits=bits), 2.0 * number
        )
        assert reason is None or heat.state.is_hot
