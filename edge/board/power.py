"""What a board draws now, where it measures that: a Jetson's INA3221, a Raspberry Pi 5's power management chip.

A Jetson's rails: NVIDIA Jetson Linux Developer Guide, "Platform Power and Performance". Orin Nano and NX, Xavier NX
and TX2 measure the whole module as ``VDD_IN``, Nano as ``POM_5V_IN``; on the AGX boards the rails add up to it, with
``VDDQ_VDD2_1V8AO`` already in ``VIN_SYS_5V0``. A Raspberry Pi 5's ``vcgencmd pmic_read_adc`` gives the rails behind
the chip: what the board draws for itself, without USB devices and without the chip's own losses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge.board.device import read_line
from edge.board.sensors import integer
from edge.board.subprocesses import Run

__all__ = ["power_w"]

_WHOLE: Final = ("VDD_IN", "POM_5V_IN", "5V_IN")
_NO_RAIL: Final = ("NC", "VDDQ_VDD2_1V8AO", "sum of shunt voltages")
_TEGRASTATS: Final = ("sh", "-c", "tegrastats --interval 100 | head -n 1")


def power_w(root: Path, run: Run) -> float | None:
    """Watts of the whole board, as far as it measures them; None where it does not."""
    if rails := _hwmon_w(root) or _iio_w(root):
        return _whole(rails)
    if (root / "etc/nv_tegra_release").exists():
        rails = {name: int(mw) / 1000 for name, mw in re.findall(r"(\w+) (\d+)mW/\d+mW", run(_TEGRASTATS) or "")}
        return _whole(rails) if rails else None
    return _pmic_w(run(["vcgencmd", "pmic_read_adc"]) or "")


def _whole(rails_w: Mapping[str, float]) -> float:
    """The rail that stands before all others, else the sum of all."""
    for name in _WHOLE:
        if name in rails_w:
            return round(rails_w[name], 3)
    return round(sum(watts for name, watts in rails_w.items() if name not in _NO_RAIL), 3)


def _hwmon_w(root: Path) -> dict[str, float]:
    """Rails of every INA3221 below hwmon, as Jetson Linux has them since 5.0."""
    rails = {}
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if read_line(chip / "name") == "ina3221":
            for number in (1, 2, 3):
                name = read_line(chip / f"in{number}_label")
                millivolts, milliamperes = integer(chip / f"in{number}_input"), integer(chip / f"curr{number}_input")
                if name is not None and millivolts is not None and milliamperes is not None:
                    rails[name] = millivolts * milliamperes / 1e6
    return rails


def _iio_w(root: Path) -> dict[str, float]:
    """Rails as Jetson Linux 4 has them."""
    rails = {}
    for label in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_*")):
        name, milliwatts = read_line(label), integer(label.with_name(f"in_power{label.name[-1]}_input"))
        if name is not None and milliwatts is not None:
            rails[name] = milliwatts / 1000
    return rails


def _pmic_w(report: str) -> float | None:
    """The sum over the rails that have a current ``NAME_A current(7)=1.2A`` and a voltage ``NAME_V volt(15)=0.9V``."""
    amperes = dict(re.findall(r"(\w+)_A current\(\d+\)=([\d.]+)A", report))
    volts = dict(re.findall(r"(\w+)_V volt\(\d+\)=([\d.]+)V", report))
    rails = [float(volts[name]) * float(amperes[name]) for name in amperes if name in volts]
    return round(sum(rails), 3) if rails else None
