"""Who a machine says it is, from the files it offers."""

from __future__ import annotations

import json
import platform
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edge.board.device import Device, describe, read_line, read_text

Board = Callable[[str], Path]
MakeTree = Callable[[Mapping[str, str]], Path]


@pytest.mark.parametrize(
    ("name", "board_name", "slug", "cpu", "cpu_count", "memory_mb"),
    [
        ("pi4", "Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4-model-b", "Cortex-A72", 4, 3977),
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5-model-b", "Cortex-A76", 4, 8443),
        (
            "orin-nano",
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            "nvidia-jetson-orin-nano-engineering-reference-developer-kit-super",
            "Cortex-A78AE",
            6,
            7990,
        ),
        ("pc", "ThinkStation P3", "thinkstation-p3", "AMD EPYC 7763", 2, 25884),
    ],
)
def test_a_board_is_known_by_its_files(
    board: Board, name: str, board_name: str, slug: str, cpu: str, cpu_count: int, memory_mb: int
) -> None:
    device = describe(board(name))
    assert (device.board, device.board_slug) == (board_name, slug)
    assert (device.cpu, device.cpu_count, device.memory_mb) == (cpu, cpu_count, memory_mb)


@pytest.mark.parametrize(
    ("name", "is_raspberry_pi", "is_jetson", "l4t", "os"),
    [
        ("pi4", True, False, None, "Debian GNU/Linux 12 (bookworm)"),
        ("pi5", True, False, None, "Debian GNU/Linux 13 (trixie)"),
        ("orin-nano", False, True, "36.4.3", "Ubuntu 22.04.5 LTS"),
        ("pc", False, False, None, "Ubuntu 24.04.1 LTS"),
    ],
)
def test_family_and_system_are_told_apart(
    board: Board, name: str, is_raspberry_pi: bool, is_jetson: bool, l4t: str | None, os: str
) -> None:
    device = describe(board(name))
    assert (device.is_raspberry_pi, device.is_jetson, device.l4t, device.os) == (is_raspberry_pi, is_jetson, l4t, os)


@pytest.mark.parametrize(
    ("release", "l4t"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n", "36.4.3"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic\n", "38.2.0"),
        ("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref\n", "32.7.1"),
        ("# R39 (release), REVISION: 2, GCID: 1\n", "39.2"),
        ("something else\n", None),
        ("", None),
    ],
)
def test_the_l4t_version_is_read_or_unknown_but_never_made_up(tree: MakeTree, release: str, l4t: str | None) -> None:
    assert describe(tree({"etc/nv_tegra_release": release})).l4t == l4t


def test_a_jetson_is_known_by_its_model_alone(tree: MakeTree) -> None:
    assert describe(tree({"proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0"})).is_jetson


def test_an_empty_tree_tells_nothing(tmp_path: Path) -> None:
    device = describe(tmp_path)
    unknown = (device.board, device.cpu, device.cpu_count, device.os, device.l4t, device.memory_mb)
    assert unknown == (None,) * 6
    assert device.board_slug == "unknown"
    assert not device.is_raspberry_pi
    assert not device.is_jetson


@pytest.mark.parametrize("filler", ["To Be Filled By O.E.M.", "System Product Name", "Default string", ""])
def test_a_product_name_nobody_filled_in_gives_way_to_the_cpu(tree: MakeTree, filler: str) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz\n"
    device = describe(tree({"sys/class/dmi/id/product_name": f"{filler}\n", "proc/cpuinfo": cpuinfo}))
    assert device.board == "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz"
    assert device.board_slug == "intel-r-core-tm-i5-8250u-cpu-1-60ghz"


@pytest.mark.parametrize(
    ("parts", "cpu"),
    [(["0xd08", "0xd08"], "Cortex-A72"), (["0xd03", "0xd08"], "Cortex-A53 + Cortex-A72"), (["0xd08", "0xfff"], None)],
)
def test_arm_cores_are_named_each_once_and_not_guessed(tree: MakeTree, parts: list[str], cpu: str | None) -> None:
    cpuinfo = "".join(f"processor : {n}\nCPU implementer : 0x41\nCPU part : {p}\n" for n, p in enumerate(parts))
    assert describe(tree({"proc/cpuinfo": cpuinfo})).cpu == cpu


@pytest.mark.parametrize(
    ("board_name", "slug"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2-w"),
        ("Raspberry Pi Compute Module 4 Rev 1.1", "raspberry-pi-compute-module-4"),
        ("../../etc/passwd", "etc-passwd"),
        ("測試", "unknown"),
        ("x" * 300, "x" * 80),
        (None, "unknown"),
    ],
)
def test_the_slug_is_safe_as_a_file_name(board_name: str | None, slug: str) -> None:
    assert Device(board=board_name).board_slug == slug


def test_the_os_name_may_stand_below_usr_and_without_quotes(tree: MakeTree) -> None:
    assert describe(tree({"usr/lib/os-release": "ID=arch\nPRETTY_NAME=Arch\n"})).os == "Arch"


def test_bytes_that_are_no_text_do_not_stop_it(tree: MakeTree) -> None:
    root = tree({"proc/device-tree/model": ""})
    (root / "proc/device-tree/model").write_bytes(b"Raspberry Pi \xff\0")
    assert describe(root).is_raspberry_pi


def test_interpreter_and_kernel_are_this_machines_unless_told(tmp_path: Path) -> None:
    here = describe(tmp_path)
    assert (here.machine, here.pointer_bits) == (platform.machine(), struct.calcsize("P") * 8)
    assert here.python == platform.python_version()
    there = describe(tmp_path, machine="aarch64", pointer_bits=32)
    assert (there.machine, there.pointer_bits) == ("aarch64", 32)


def test_the_dictionary_is_json_and_has_every_field_and_the_slug(board: Board) -> None:
    values = json.loads(json.dumps(describe(board("pi5")).to_dict()))
    assert values["board_slug"] == "raspberry-pi-5-model-b"
    assert {"board", "cpu", "cpu_count", "machine", "os", "l4t", "python", "pointer_bits", "memory_mb"} < values.keys()


def test_reading_gives_none_where_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "blank").write_text(" \n\0")
    assert read_text(tmp_path / "absent") is None
    assert read_text(tmp_path) is None
    assert read_line(tmp_path / "blank") is None
