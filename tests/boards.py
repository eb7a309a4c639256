"""Boards as trees of files, as what their commands print, and as what their system's Python sees.

Written by hand after documented formats, not recorded on boards: the Raspberry Pi documentation (vcgencmd), the
Jetson Linux Developer Guide (thermal zones, devfreq, INA3221, nvpmodel, tegrastats, over-current counts) and the
kernel's Documentation/driver-api/thermal, ABI/testing/sysfs-class-devfreq and hwmon/ina3221.rst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.board.subprocesses import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One machine with its operating system."""

    files: Mapping[str, str]
    """What the system tells of itself, by path below the root."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """What programs print, by their words: ``vcgencmd get_throttled``; no other program of the board is there."""
    machine: str = "aarch64"
    """Instruction set of the kernel, as ``uname -m`` prints it."""
    python: str = "3.11.2"
    """The system's Python."""
    bits: int = 64
    """What that Python was built for."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions of what that Python sees of the system's packages, by the name to import."""


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write files by their paths below ``root``, and give it back."""
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _arm_cpuinfo(part: str, count: int) -> str:
    return "".join(f"processor\t: {n}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n" for n in range(count))


def _clocks(count: int, now_khz: int, max_khz: int, governor: str) -> dict[str, str]:
    values = {"scaling_cur_freq": now_khz, "cpuinfo_max_freq": max_khz, "scaling_governor": governor}
    folders = [f"sys/devices/system/cpu/cpu{n}/cpufreq" for n in range(count)]
    return {f"{folder}/{name}": f"{value}\n" for folder in folders for name, value in values.items()}


def _zone(number: int, name: str, temp: int, **trips: int) -> dict[str, str]:
    """A thermal zone with its trip points, their kinds by name."""
    folder = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{temp}\n"}
    for point, (kind, at) in enumerate(trips.items()):
        files |= {f"{folder}/trip_point_{point}_type": f"{kind}\n", f"{folder}/trip_point_{point}_temp": f"{at}\n"}
    return files


def _cooling(number: int, name: str, state: int) -> dict[str, str]:
    folder = f"sys/class/thermal/cooling_device{number}"
    return {f"{folder}/type": f"{name}\n", f"{folder}/cur_state": f"{state}\n", f"{folder}/max_state": "10\n"}


def _ina3221(number: int, rails: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """A power monitor's rails: millivolts and milliamperes by name."""
    folder = f"sys/class/hwmon/hwmon{number}"
    files = {f"{folder}/name": "ina3221\n", f"{folder}/in7_label": "sum of shunt voltages\n"}
    for channel, (name, (millivolts, milliamperes)) in enumerate(rails.items(), start=1):
        files |= {f"{folder}/in{channel}_label": f"{name}\n", f"{folder}/in{channel}_input": f"{millivolts}\n"}
        files |= {f"{folder}/curr{channel}_input": f"{milliamperes}\n"}
    return files


def _l4t(major: int, revision: str, board: str = "generic") -> str:
    return f"# R{major} (release), REVISION: {revision}, GCID: 38968081, BOARD: {board}, EABI: aarch64\n"


def _jetson_commands(mode: str, jetpack: str) -> dict[str, str]:
    return {
        "nvpmodel -q": f"NV Power Mode: {mode}\n0\n",
        "tegrastats": TEGRASTATS,
        "dpkg-query": jetpack,
    }


TEGRASTATS: Final = (
    "11-24-2026 13:00:00 RAM 2462/7620MB (lfb 2x4MB) SWAP 0/3810MB CPU [3%@729,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0% "
    "cpu@47.3C soc2@46.6C gpu@49.0C tj@49.0C VDD_IN 4816mW/4816mW VDD_CPU_GPU_CV 968mW/968mW VDD_SOC 1412mW/1412mW\n"
)
PMIC: Final = """ 3V7_WL_SW_A current(0)=0.09000000A
   3V3_SYS_A current(1)=0.10000000A
  VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.10000000V
      BATT_V volt(25)=0.00000000V
"""


_PI_COMMANDS: Final = {"vcgencmd get_throttled": "throttled=0x0\n"}
_BOOKWORM: Final = {"numpy": "1.24.2", "picamera2": "0.3.30"}
"""What the full Raspberry Pi OS brings; the Lite edition brings nothing."""
_JETPACK_6: Final = {"numpy": "1.21.5", "tensorrt": "10.3.0", "cv2": "4.8.0"}

_ZERO_2_W: Final = {
    "proc/device-tree/model": "Raspberry Pi Zero 2 W Rev 1.0\0",
    "proc/cpuinfo": _arm_cpuinfo("0xd03", 4) + "Model\t: Raspberry Pi Zero 2 W Rev 1.0\n",
    "proc/meminfo": "MemTotal:         432468 kB\nSwapTotal:             0 kB\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    **_zone(0, "cpu-thermal", 52616, critical=110000),
    **_clocks(4, 600_000, 1_000_000, "ondemand"),
}

BOARDS: Final[Mapping[str, Board]] = {
    "pi-zero2w": Board(files=_ZERO_2_W, commands=_PI_COMMANDS),
    "pi-zero2w-32": Board(files=_ZERO_2_W, commands=_PI_COMMANDS, bits=32, packages=_BOOKWORM),
    "pi3": Board(
        files={
            "proc/device-tree/model": "Raspberry Pi 3 Model B Plus Rev 1.3\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd03", 4) + "Model\t: Raspberry Pi 3 Model B Plus Rev 1.3\n",
            "proc/meminfo": "MemTotal:         931260 kB\nSwapTotal:        102396 kB\n",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
            **_zone(0, "cpu-thermal", 61224, critical=110000),
            **_clocks(4, 1_200_000, 1_400_000, "ondemand"),
            "sys/devices/platform/soc/soc:firmware/get_throttled": "80008\n",
        },
        commands={"vcgencmd get_throttled": "throttled=0x80008\n"},
        packages=_BOOKWORM,
    ),
    "pi4": Board(
        files={
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd08", 4) + "Model\t: Raspberry Pi 4 Model B Rev 1.4\n",
            "proc/meminfo": "MemTotal:        3884036 kB\nSwapTotal:        524284 kB\n",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
            **_zone(0, "cpu-thermal", 51121, critical=110000),
            **_clocks(4, 600_000, 1_800_000, "ondemand"),
        },
        commands=_PI_COMMANDS,
        packages=_BOOKWORM,
    ),
    "pi5": Board(
        files={
            "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd0b", 4) + "Model\t: Raspberry Pi 5 Model B Rev 1.0\n",
            "proc/meminfo": "MemTotal:        8245392 kB\nSwapTotal:        204784 kB\n",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
            **_zone(0, "cpu-thermal", 48350, critical=110000, active=50000),
            **_cooling(0, "pwm-fan", 1),
            **_clocks(4, 1_500_000, 2_400_000, "ondemand"),
        },
        commands=_PI_COMMANDS | {"vcgencmd pmic_read_adc": PMIC},
        python="3.13.5",
        packages={"numpy": "2.2.4", "picamera2": "0.3.30"},
    ),
    "orin-nano": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd42", 6),
            "proc/meminfo": "MemTotal:        7802344 kB\nSwapTotal:       3901168 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "etc/nv_tegra_release": _l4t(36, "4.3"),
            **_zone(0, "cpu-thermal", 47312, critical=104500, passive=99000),
            **_zone(1, "cv0-thermal", -256000, passive=99000),
            **_zone(2, "gpu-thermal", 49093, passive=99000, active=51000),
            **_cooling(0, "pwm-fan", 2),
            **_cooling(1, "cpufreq-cpu0", 0),
            **_clocks(6, 729_600, 1_728_000, "schedutil"),
            "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
            "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
            **_ina3221(1, {"VDD_IN": (5056, 952), "VDD_CPU_GPU_CV": (5056, 192), "VDD_SOC": (5056, 280)}),
            "sys/class/hwmon/hwmon3/name": "soctherm_oc\n",
            "sys/class/hwmon/hwmon3/oc1_event_cnt": "0\n",
            "sys/class/hwmon/hwmon3/oc3_event_cnt": "4\n",
        },
        commands=_jetson_commands("25W", "6.2+b77"),
        python="3.10.12",
        packages=_JETPACK_6,
    ),
    "agx-orin": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd42", 12),
            "proc/meminfo": "MemTotal:       64328508 kB\nSwapTotal:      32164240 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "etc/nv_tegra_release": _l4t(36, "4.3"),
            **_zone(0, "cpu-thermal", 99500, critical=104500, passive=99000),
            **_zone(8, "tj-thermal", 99500, passive=99000),
            **_cooling(0, "pwm-fan", 5),
            **_cooling(1, "cpufreq-cpu0", 3),
            **_cooling(2, "devfreq-17000000.gpu", 1),
            **_clocks(12, 1_113_600, 2_201_600, "schedutil"),
            "sys/class/devfreq/17000000.gpu/cur_freq": "612000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "1300500000\n",
            **_ina3221(1, {"VDD_GPU_SOC": (19928, 240), "VDD_CPU_CV": (19928, 80), "VIN_SYS_5V0": (5008, 800)}),
            **_ina3221(2, {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5008, 120)}),
        },
        commands=_jetson_commands("MAXN", "6.2+b77"),
        python="3.10.12",
        packages=_JETPACK_6,
    ),
    "agx-orin-jp7": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd42", 12),
            "proc/meminfo": "MemTotal:       64328508 kB\nSwapTotal:      32164240 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\n',
            "etc/nv_tegra_release": _l4t(39, "2.0"),
            **_zone(0, "cpu-thermal", 45500, critical=104500, passive=99000),
            **_clocks(12, 1_113_600, 2_201_600, "schedutil"),
        },
        commands=_jetson_commands("MODE_30W", "7.2-b1"),
        python="3.12.3",
        packages={"numpy": "1.26.4", "tensorrt": "10.16.2", "cv2": "4.8.0"},
    ),
    "thor": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd83", 14),
            "proc/meminfo": "MemTotal:      128763904 kB\nSwapTotal:             0 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\n',
            "etc/nv_tegra_release": _l4t(38, "4.0"),
            **_zone(0, "cpu-thermal", 41500, critical=104500, passive=99000),
            **_clocks(14, 972_000, 2_601_000, "schedutil"),
            "sys/class/devfreq/gpu-gpc-0/cur_freq": "315000000\n",
            "sys/class/devfreq/gpu-gpc-0/max_freq": "1575000000\n",
        },
        commands=_jetson_commands("120W", "7.1-b1"),
        python="3.12.3",
        packages={"numpy": "1.26.4", "tensorrt": "10.13.3"},
    ),
    "xavier-nx": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson Xavier NX Developer Kit\0",
            "proc/cpuinfo": "".join(
                f"processor\t: {n}\nCPU implementer\t: 0x4e\nCPU part\t: 0x004\n\n" for n in range(6)
            ),
            "proc/meminfo": "MemTotal:        7000840 kB\nSwapTotal:       3500400 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 20.04.6 LTS"\n',
            "etc/nv_tegra_release": _l4t(35, "6.4"),
            **_zone(0, "CPU-therm", 40500),
            **_clocks(6, 1_190_400, 1_907_200, "schedutil"),
        },
        commands=_jetson_commands("MODE_15W_6CORE", "5.1.6-b1"),
        python="3.8.10",
        packages={"numpy": "1.17.4", "tensorrt": "8.5.2", "cv2": "4.5.4"},
    ),
    "jetson-nano": Board(
        files={
            "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
            "proc/cpuinfo": _arm_cpuinfo("0xd07", 4),
            "proc/meminfo": "MemTotal:        4059292 kB\nSwapTotal:       2029632 kB\n",
            "etc/os-release": 'PRETTY_NAME="Ubuntu 18.04.6 LTS"\n',
            "etc/nv_tegra_release": _l4t(32, "7.1", "t210ref"),
            **_zone(0, "AO-therm", 42500),
            **_zone(1, "PMIC-Die", 100000),
            "sys/class/devfreq/57000000.gpu/cur_freq": "76800000\n",
            "sys/class/devfreq/57000000.gpu/max_freq": "921600000\n",
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0": "POM_5V_IN\n",
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input": "2198\n",
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_1": "POM_5V_GPU\n",
            "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power1_input": "40\n",
        },
        commands=_jetson_commands("MAXN", "4.6.1-b110"),
        python="3.6.9",
        packages={"numpy": "1.13.3", "tensorrt": "8.2.1", "cv2": "4.1.1"},
    ),
    "pc": Board(
        files={
            "proc/cpuinfo": "".join(f"processor\t: {n}\nmodel name\t: AMD EPYC 7763\n\n" for n in range(2)),
            "proc/meminfo": "MemTotal:       25277000 kB\nSwapTotal:             0 kB\n",
            "etc/os-release": "PRETTY_NAME='Ubuntu 24.04.1 LTS'\n",
            "sys/class/dmi/id/product_name": "ThinkStation P3\n",
        },
        machine="x86_64",
        python="3.12.3",
    ),
    "laptop": Board(
        files={
            "sys/class/dmi/id/product_name": "ThinkPad T14\n",
            **_zone(0, "acpitz", 44000, critical=128000),
            **_zone(1, "x86_pkg_temp", 71000, passive=0),
            **_cooling(0, "Processor", 2),
            **_cooling(1, "intel_powerclamp", -1),
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "12\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "30\n",
            "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "1\n",
        },
        machine="x86_64",
        python="3.12.3",
    ),
}
"""Versions of the systems' own packages: Debian, Ubuntu and NVIDIA's release notes, the rest plausible."""


def commands(answers: Mapping[str, str]) -> Run:
    """Knows commands by their words, ``vcgencmd get_throttled``; every other is missing."""

    def run(command: Sequence[str]) -> str | None:
        line = " ".join(command)
        return next((answer for words, answer in answers.items() if words in line), None)

    return run
