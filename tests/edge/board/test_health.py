"""Heat, clocks, throttling and other work, and when they spoil a measurement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.board.health import Health, glance, objections, read_health, throttle_flags
from edge.board.subprocesses import Run
from edge.typed_json import from_json

Board = Callable[[str], Path]
MakeTree = Callable[[Mapping[str, str]], Path]


def fake_run(**answers: str) -> Run:
    """Knows the commands given by their first word; every other is missing."""

    def run(command: Sequence[str]) -> str | None:
        return answers.get(command[0])

    return run


def look(root: Path, **answers: str) -> Health:
    return read_health(root, fake_run(**answers), lambda: 3.0)


def test_a_raspberry_pi_tells_its_state(board: Board) -> None:
    assert look(board("pi4"), vcgencmd="throttled=0x50005\n") == Health(
        temperature_c=51.121,
        zones_c={"cpu-thermal": 51.121},
        clock_mhz=(600,) * 4,
        clock_max_mhz=(1800,) * 4,
        governor="ondemand",
        throttle_bits=0x50005,
        load_percent=3.0,
    )


def test_a_jetson_tells_its_state_and_leaves_out_zones_that_are_off(board: Board) -> None:
    warning = "NVPM WARN: fan mode is not set!\n"
    assert look(board("orin-nano"), nvpmodel=f"{warning}NV Power Mode: MODE_15W_6CORE\n2\n") == Health(
        temperature_c=49.093,
        limit_c=99.0,
        zones_c={"cpu-thermal": 47.312, "gpu-thermal": 49.093},
        clock_mhz=(730,) * 6,
        clock_max_mhz=(1728,) * 6,
        gpu_mhz=306,
        gpu_max_mhz=1020,
        governor="schedutil",
        throttle_events=4,
        load_percent=3.0,
        power_mode="MODE_15W_6CORE",
        power_w=4.813,
    )


def test_a_machine_that_tells_nothing_is_unknown_not_zero(tmp_path: Path) -> None:
    assert read_health(tmp_path, fake_run(), lambda: None) == Health()


@pytest.mark.parametrize("text", ["-256000", "4294967", "warm", ""])
def test_an_impossible_temperature_is_unknown(tree: MakeTree, text: str) -> None:
    assert look(tree({"sys/class/thermal/thermal_zone0/temp": text})).temperature_c is None


@pytest.mark.parametrize(
    ("path", "text", "bits"),
    [
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n", 0x50005),
        ("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "0\n", 0),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0x10000\n", 0x10000),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "none\n", None),
    ],
)
def test_the_firmware_driver_stands_in_for_vcgencmd(tree: MakeTree, path: str, text: str, bits: int | None) -> None:
    assert look(tree({path: text})).throttle_bits == bits


def test_vcgencmd_without_an_answer_is_unknown(tmp_path: Path) -> None:
    assert look(tmp_path, vcgencmd="VCHI initialization failed\n").throttle_bits is None


def test_cpus_stand_in_the_order_of_their_numbers_and_mixed_governors_are_all_named(tree: MakeTree) -> None:
    cpu = "sys/devices/system/cpu/cpu{}/cpufreq/{}"
    files = {cpu.format(n, "scaling_cur_freq"): f"{1000 * n}" for n in (0, 2, 10)}
    files |= {cpu.format(0, "scaling_governor"): "schedutil", cpu.format(10, "scaling_governor"): "performance"}
    health = look(tree(files | {"sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "7"}))
    assert health.clock_mhz == (0, 2, 10)
    assert health.governor == "performance/schedutil"


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, ()),
        (0x1, ("under-voltage now",)),
        (0x2, ("frequency capped now",)),
        (0x4, ("throttled now",)),
        (0x8, ("soft temperature limit now",)),
        (0x50000, ("under-voltage since boot", "throttled since boot")),
        (0xA0000, ("frequency capped since boot", "soft temperature limit since boot")),
    ],
)
def test_throttle_bits_have_names(bits: int, names: tuple[str, ...]) -> None:
    assert throttle_flags(bits) == names


QUIET = Health(
    temperature_c=50, clock_mhz=(1800,) * 4, governor="performance", throttle_bits=0, load_percent=2, power_mode="15W"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"temperature_c": None, "throttle_bits": None, "load_percent": None, "governor": None}, {}),
        ({}, {"throttle_bits": None, "clock_mhz": (), "power_mode": None}),
        ({"throttle_bits": 0x50000}, {"throttle_bits": 0x50000}),
        ({"throttle_bits": None}, {"throttle_bits": 0x50000}),
        ({}, {"clock_mhz": (1500,) * 4}),
        ({}, {"clock_mhz": (600, 600, 600, 1800)}),
        ({"governor": "ondemand"}, {"governor": "ondemand", "clock_mhz": (600,) * 4}),
        ({}, {"load_percent": 140.0}),
        ({}, {"temperature_c": 79.0}),
        ({"throttle_events": 7}, {"throttle_events": 7}),
        ({"throttle_events": 7}, {"throttle_events": None}),
        ({}, {"throttle_events": 7}),
    ],
)
def test_nothing_is_held_against_a_quiet_run_or_against_what_is_unknown(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert objections(replace(QUIET, **before), replace(QUIET, **after)) == ()


@pytest.mark.parametrize(
    ("before", "after", "messages"),
    [
        (
            {},
            {"throttle_bits": 0x50005},
            (
                "The board reports under-voltage now: see to its power supply and cooling.",
                "The board reports throttled now: see to its power supply and cooling.",
            ),
        ),
        (
            {"throttle_bits": 0x80008},
            {"throttle_bits": 0x80000},
            ("The board reports soft temperature limit now: see to its power supply and cooling.",),
        ),
        (
            {"throttle_bits": 0x10000},
            {"throttle_bits": 0x30000},
            ("The board reports frequency capped during the run: see to its power supply and cooling.",),
        ),
        (
            {},
            {"clock_mhz": (1400,) * 4},
            ("The clock fell from 1800 to 1400 MHz under the governor performance: the board was held back.",),
        ),
        (
            {},
            {"governor": "powersave"},
            ("The governor changed from performance to powersave during the run: keep one and measure again.",),
        ),
        (
            {"power_mode": "MAXN"},
            {},
            ("The power mode changed from MAXN to 15W during the run: keep one and measure again.",),
        ),
        (
            {"held_back": ("cpufreq-cpu0",)},
            {"held_back": ("cpufreq-cpu0", "devfreq-17000000.gpu")},
            ("The kernel holds clocks down against heat (cpufreq-cpu0, devfreq-17000000.gpu): cool the board.",),
        ),
        (
            {"throttle_events": 3},
            {"throttle_events": 8},
            ("The hardware was held back 5 times during the run: see to its power supply and cooling.",),
        ),
    ],
)
def test_what_spoils_a_measurement_is_said_in_a_sentence(
    before: dict[str, Any], after: dict[str, Any], messages: tuple[str, ...]
) -> None:
    assert objections(replace(QUIET, **before), replace(QUIET, **after)) == messages


@pytest.mark.parametrize(("load_percent", "count"), [(None, 0), (0.0, 0), (25.0, 0), (140.4, 1)])
def test_other_work_during_the_run_spoils_it_beyond_a_quarter_of_a_cpu(load_percent: float | None, count: int) -> None:
    found = objections(QUIET, QUIET, load_percent)
    expected = "Other processes kept 140 % of one CPU busy, more than 25 %: stop them and measure again."
    assert found == (expected,) * count


def test_a_glance_sees_what_changes_from_second_to_second_alone(board: Board) -> None:
    asked: list[str] = []

    def run(command: Sequence[str]) -> str | None:
        asked.append(command[0])
        return "throttled=0x4\n"

    health = glance(board("pi4"), run, lambda: 5.0)
    assert (health.temperature_c, health.throttle_bits, health.load_percent) == (51.121, 4, 5.0)
    assert (health.governor, health.power_mode, health.power_w) == (None, None, None)
    assert asked == ["vcgencmd"]


def test_a_dictionary_gives_the_same_health_back(board: Board) -> None:
    health = look(board("orin-nano"), nvpmodel="NV Power Mode: 15W\n1\n", vcgencmd="throttled=0x0")
    assert from_json(Health, json.loads(json.dumps(health.to_dict()))) == health


def test_fields_missing_from_a_dictionary_are_unknown_and_others_are_passed_over() -> None:
    assert from_json(Health, {"governor": "ondemand", "fan_rpm": 900}, is_open=True) == Health(governor="ondemand")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature_c": "51"}, 'temperature_c is "51": expected a number'),
        ({"load_percent": True}, "load_percent is true: expected a number"),
        ({"clock_mhz": 1800}, "clock_mhz is 1800: expected a list"),
        ({"clock_max_mhz": ["1800"]}, 'clock_max_mhz[0] is "1800": expected a whole number'),
        ({"governor": 3}, "governor is 3: expected text"),
        ({"throttle_bits": 1.5}, "throttle_bits is 1.5: expected a whole number"),
        ({"held_back": [3]}, "held_back[0] is 3: expected text"),
        ({"zones_c": [50]}, "zones_c is [50]: expected an object"),
        ({"zones_c": {"cpu": "50"}}, "zones_c['cpu'] is \"50\": expected a number"),
    ],
)
def test_a_dictionary_of_the_wrong_form_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as error:
        from_json(Health, values)
    assert str(error.value) == message
