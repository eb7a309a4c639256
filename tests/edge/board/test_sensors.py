"""What boards tell of heat, clocks, limits and power, and what lying or absent sensors tell: nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edge.board import sensors
from edge.board.health import Health, glance, objections, read_health
from edge.board.power import power_w
from edge.control.thermal import Thermal, on_health
from tests.boards import PMIC, TEGRASTATS, commands

Board = Callable[[str], Path]
MakeTree = Callable[[Mapping[str, str]], Path]
NOTHING = commands({})


def zone_files(number: int, name: str, celsius: float, limit_c: float | None) -> list[tuple[str, str]]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    files = [(f"{folder}/type", f"{name}\n"), (f"{folder}/temp", f"{1000 * celsius:.0f}\n")]
    files += [(f"{folder}/trip_point_0_type", "critical\n"), (f"{folder}/trip_point_0_temp", "110000\n")]
    if limit_c is not None:
        files += [
            (f"{folder}/trip_point_1_type", "passive\n"),
            (f"{folder}/trip_point_1_temp", f"{1000 * limit_c:.0f}\n"),
        ]
    return files


def look(root: Path, **answers: str) -> Health:
    return read_health(root, commands(answers), lambda: None)


class TestHeat:
    @pytest.mark.parametrize(
        ("name", "zones"),
        [
            ("pi3", {"cpu-thermal": 61.224}),
            ("orin-nano", {"cpu-thermal": 47.312, "gpu-thermal": 49.093}),
            ("jetson-nano", {"AO-therm": 42.5}),
            ("laptop", {"acpitz": 44.0, "x86_pkg_temp": 71.0}),
            ("pc", {}),
        ],
    )
    def test_is_reported_by_zone(self, board: Board, name: str, zones: Mapping[str, float]) -> None:
        assert {zone.name: zone.celsius for zone in sensors.zones(board(name))} == zones

    @pytest.mark.parametrize(
        ("name", "limit_c"), [("pi4", None), ("orin-nano", 99.0), ("agx-orin", 99.0), ("laptop", None)]
    )
    def test_has_the_lowest_passive_limit(self, board: Board, name: str, limit_c: float | None) -> None:
        assert look(board(name)).limit_c == limit_c

    @pytest.mark.parametrize(
        ("zones", "critical"),
        [
            ((("cpu", 70.0, 95.0), ("case", 45.0, 65.0)), ("case", 45.0, 65.0)),
            ((("cpu", 92.0, 95.0), ("case", 45.0, 65.0)), ("cpu", 92.0, 95.0)),
            ((("cpu", 70.0, None), ("case", 45.0, 65.0)), ("case", 45.0, 65.0)),
            ((("cpu", 70.0, None), ("case", 75.0, None)), ("case", 75.0, None)),
            ((("acpitz", 30.0, None), ("acpitz", 80.0, 99.0)), ("acpitz 2", 80.0, 99.0)),
        ],
    )
    def test_of_each_zone_is_held_against_its_own_limit(
        self,
        tree: MakeTree,
        zones: tuple[tuple[str, float, float | None], ...],
        critical: tuple[str, float, float | None],
    ) -> None:
        root = tree(dict(line for number, zone in enumerate(zones) for line in zone_files(number, *zone)))
        assert sensors.critical_zone(sensors.zones(root)) == sensors.Zone(*critical)
        for health in (look(root), glance(root, NOTHING)):
            assert (health.temperature_c, health.limit_c) == critical[1:]
        assert sorted(look(root).zones_c.values()) == sorted(celsius for _, celsius, _ in zones)

    def test_near_another_zones_limit_steps_nothing_down(self, tree: MakeTree) -> None:
        zones = (("cpu", 70.0, 95.0), ("case", 45.0, 65.0), ("board", 66.0, None))
        root = tree(dict(line for number, zone in enumerate(zones) for line in zone_files(number, *zone)))
        state = Thermal()
        for second in range(0, 600, 2):
            state, reason = on_health(state, glance(root, NOTHING), float(second))
            assert reason is None

    @pytest.mark.parametrize(
        ("name", "devices"),
        [
            ("pi5", ()),
            ("orin-nano", ()),
            ("agx-orin", ("cpufreq-cpu0", "devfreq-17000000.gpu")),
            ("laptop", ("Processor",)),
        ],
    )
    def test_is_held_down_by_what_slows_clocks_not_by_fans(
        self, board: Board, name: str, devices: tuple[str, ...]
    ) -> None:
        assert sensors.held_back(board(name)) == devices

    @pytest.mark.parametrize(("name", "count"), [("orin-nano", 4), ("laptop", 43), ("pi4", None)])
    def test_events_are_counted(self, board: Board, name: str, count: int | None) -> None:
        assert sensors.throttle_events(board(name)) == count

    def test_a_hot_jetson_makes_a_measurement_invalid(self, board: Board) -> None:
        health = look(board("agx-orin"))
        assert objections(health, health) == (
            "The kernel holds clocks down against heat (cpufreq-cpu0, devfreq-17000000.gpu): cool the board.",
        )

    def test_a_pi_3_tells_its_soft_limit_without_vcgencmd(self, board: Board) -> None:
        health = look(board("pi3"))
        assert health.throttle_bits == 0x80008
        assert objections(Health(), health)[0].startswith("The board reports soft temperature limit now")


class TestClocks:
    @pytest.mark.parametrize(
        ("name", "now", "most"), [("orin-nano", 306, 1020), ("jetson-nano", 77, 922), ("pi5", None, None)]
    )
    def test_of_a_jetsons_gpu(self, board: Board, name: str, now: int | None, most: int | None) -> None:
        health = look(board(name))
        assert (health.gpu_mhz, health.gpu_max_mhz) == (now, most)

    @pytest.mark.parametrize("device", ["17000000.ga10b", "gpu-gpc-0", "17000000.gv11b"])
    def test_of_gpus_of_other_releases(self, tree: MakeTree, device: str) -> None:
        root = tree({f"sys/class/devfreq/{device}/cur_freq": "306000000\n"})
        assert sensors.gpu_mhz(root, "cur_freq") == 306


class TestPower:
    @pytest.mark.parametrize(
        ("name", "watts"),
        [("orin-nano", 4.813), ("agx-orin", 10.383), ("jetson-nano", 2.198), ("pi4", None), ("pc", None)],
    )
    def test_is_that_of_the_whole_module(self, board: Board, name: str, watts: float | None) -> None:
        assert power_w(board(name), NOTHING) == watts

    def test_of_a_jetson_without_readable_rails_comes_from_tegrastats(self, tree: MakeTree) -> None:
        root = tree({"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"})
        assert power_w(root, commands({"tegrastats": TEGRASTATS})) == 4.816
        assert power_w(root, NOTHING) is None

    def test_of_a_pi_5_is_the_sum_of_the_rails_behind_its_chip(self, board: Board) -> None:
        assert power_w(board("pi5"), commands({"pmic_read_adc": PMIC})) == pytest.approx(0.333 + 0.33 + 1.6)

    @pytest.mark.parametrize("told", ["", "Command not registered", "A_A current(7)=nanA", "EXT5V_V volt(24)=5V"])
    def test_that_is_not_told_is_unknown(self, tmp_path: Path, told: str) -> None:
        assert power_w(tmp_path, commands({"vcgencmd": told})) is None


class TestLies:
    @pytest.mark.parametrize("text", ["-256000", "-2147483648", "4294967", "999999999", "warm", "", "0x20", "1e4"])
    def test_of_a_zone_are_left_out(self, tree: MakeTree, text: str) -> None:
        root = tree(
            {
                "sys/class/thermal/thermal_zone0/temp": text,
                "sys/class/thermal/thermal_zone1/temp": "50000",
                "sys/class/thermal/thermal_zone1/type": "cpu",
                "sys/class/thermal/thermal_zone1/trip_point_0_type": "passive",
                "sys/class/thermal/thermal_zone1/trip_point_0_temp": text,
            }
        )
        assert sensors.zones(root) == (sensors.Zone("cpu", 50.0, None),)

    def test_unreadable_files_are_as_absent_ones(self, tree: MakeTree) -> None:
        root = tree({"sys/class/thermal/thermal_zone0/temp/not-a-file": "50000\n", "sys/class/hwmon/hwmon0/name/x": ""})
        assert look(root) == Health()
