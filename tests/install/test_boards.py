"""What the installer plans on every board of the table, or why it refuses."""

from __future__ import annotations

from typing import Final

import pytest

from tests.boards import BOARDS
from tests.install.machine import PROJECT, Machine

DOCTOR: Final = "check that it works: .venv/bin/edge doctor"
NUMPY_1: Final = "'numpy<2', because the system's packages were built for NumPy 1"
SEEING: Final = "make the environment .venv with --system-site-packages, to see"
PLAIN: Final = ["make the environment .venv", "pip install --editable .[litert,headless]", DOCTOR]
BOOKWORM: Final = [f"{SEEING} picamera2", f"pip install --editable .[litert,headless] {NUMPY_1}", DOCTOR]
JETPACK: Final = [f"{SEEING} TensorRT, OpenCV with GStreamer", f"pip install --editable .[litert] {NUMPY_1}", DOCTOR]

PLANS: Final[dict[str, list[str]]] = {
    "pi-zero2w": PLAIN,
    "pi-zero2w-32": [
        "apt-get install python3-opencv python3-psutil",
        f"{SEEING} picamera2, NumPy, OpenCV, psutil",
        f"pip install --editable .[tflite-runtime] {NUMPY_1}",
        DOCTOR,
    ],
    "pi3": BOOKWORM,
    "pi4": BOOKWORM,
    "pi5": [f"{SEEING} picamera2", "pip install --editable .[litert,headless]", DOCTOR],
    "orin-nano": JETPACK,
    "agx-orin": JETPACK,
    "agx-orin-jp7": JETPACK,
    "thor": [f"{SEEING} TensorRT", f"pip install --editable .[litert,headless] {NUMPY_1}", DOCTOR],
    "pc": PLAIN,
    "laptop": PLAIN,
}
MACHINES: Final[dict[str, list[str]]] = {
    "pi-zero2w": ["system   Debian GNU/Linux 12 (bookworm), aarch64", "memory   443 MB, 0 MB swap"],
    "pi3": ["memory   954 MB, 105 MB swap", "cameras  no video device, picamera2"],
    "pi5": ["system   Debian GNU/Linux 13 (trixie), aarch64", "system's numpy 2.2.4, picamera2 0.3.30"],
    "orin-nano": [
        "system   Ubuntu 22.04.5 LTS, aarch64, Jetson Linux 36.4.3 (JetPack 6.1 or 6.2)",
        "system's numpy 1.21.5, cv2 4.8.0, tensorrt 10.3.0",
        "power    nvpmodel 25W",
    ],
    "agx-orin-jp7": ["system   Ubuntu 24.04.3 LTS, aarch64, Jetson Linux 39.2.0 (JetPack 7.2)"],
    "thor": ["system   Ubuntu 24.04.3 LTS, aarch64, Jetson Linux 38.4.0 (JetPack 7.0 or 7.1)"],
    "pc": ["system   Ubuntu 24.04.1 LTS, x86_64"],
}
NOTES: Final[dict[str, list[str]]] = {
    "pi-zero2w": [
        "Note: 443 MB of memory and no swap: add some first, for example: sudo apt-get install zram-tools",
        "Note: ribbon cameras need picamera2: sudo apt-get install python3-picamera2, then run me again.",
    ],
    "pi-zero2w-32": [
        "Note: 443 MB of memory and no swap: add some first, for example: sudo apt-get install zram-tools"
    ],
    "thor": [
        "Note: JetPack's OpenCV is not there, and pip's has no GStreamer: sudo apt-get install nvidia-jetpack",
        "Note: the power mode stays as it is; sudo nvpmodel -m and sudo jetson_clocks change it.",
    ],
    "orin-nano": ["Note: the power mode stays as it is; sudo nvpmodel -m and sudo jetson_clocks change it."],
    "pi4": [],
    "pc": [],
}
TOO_OLD: Final = "JetPack 5 and older carry Python 3.8 or older"
OWN_PROGRAM: Final = (
    "and this board gets no newer one. A bundle's .tflite files run there in a program of your own, with "
    "tflite-runtime 2.13 or older."
)
REFUSALS: Final = {
    "xavier-nx": f"Jetson Linux 35.6.4 is too old: {TOO_OLD}, {OWN_PROGRAM}",
    "jetson-nano": f"Jetson Linux 32.7.1 is too old: {TOO_OLD}, {OWN_PROGRAM}",
}


def lines_of(machine: Machine, name: str, *options: str) -> list[str]:
    """What a dry run prints on a board of the table."""
    machine.is_board(BOARDS[name])
    machine.apt_get()
    result = machine.install("--dry-run", *options)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.strip() for line in result.stdout.splitlines()]


def test_every_board_has_its_line() -> None:
    assert PLANS.keys() | REFUSALS.keys() == BOARDS.keys()
    assert not PLANS.keys() & REFUSALS.keys()


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_of_each_board(machine: Machine, name: str) -> None:
    lines = lines_of(machine, name)
    assert [line.partition(". ")[2] for line in lines if line[:1].isdigit()] == PLANS[name]
    assert set(MACHINES.get(name, ())) <= set(lines)
    if name in NOTES:
        assert [line for line in lines if line.startswith("Note")] == NOTES[name]


@pytest.mark.parametrize("name", REFUSALS)
def test_boards_that_are_too_old_are_refused_with_the_way_out(machine: Machine, name: str) -> None:
    machine.is_board(BOARDS[name])
    machine.fails(REFUSALS[name], "--dry-run")


DOCUMENTED: Final = {
    "Raspberry Pi 3, 4, 5, Zero 2 W, 64-bit Lite": "pi-zero2w",
    "Raspberry Pi 4, Bookworm with picamera2": "pi4",
    "Raspberry Pi 5, Trixie with picamera2": "pi5",
    "Raspberry Pi Zero 2 W, 32-bit Bookworm with picamera2": "pi-zero2w-32",
    "Jetson Orin Nano, JetPack 6.2": "orin-nano",
    "Jetson AGX Orin, JetPack 7.2": "agx-orin-jp7",
    "Jetson AGX Thor, JetPack 7.1 without OpenCV": "thor",
    "PC, x86-64": "pc",
}


@pytest.mark.parametrize("board", DOCUMENTED)
def test_the_documentation_tells_what_is_planned(board: str) -> None:
    plan = PLANS[DOCUMENTED[board]]
    seen = next(line.partition("to see ")[2] for line in plan if line.startswith("make")) or "nothing"
    pip = next(line for line in plan if line.startswith("pip"))
    extras = pip.partition("[")[2].partition("]")[0].replace(",", ", ")
    row = f"| {board} | {seen} | {extras} | {'1' if NUMPY_1 in pip else 'newest'} |"
    assert row in (PROJECT / "docs/install.md").read_text(encoding="utf-8").splitlines()


def test_a_live_page_on_a_board(machine: Machine) -> None:
    assert "2. pip install --editable .[litert,headless,live]" in lines_of(machine, "pi5", "--with", "live")


def release(machine: Machine, major: int, revision: str, board: str = "NVIDIA Jetson AGX Orin Developer Kit") -> None:
    """Another Jetson Linux on an Orin."""
    machine.is_board(BOARDS["agx-orin"])
    machine.has({"etc/nv_tegra_release": f"# R{major} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n"})
    machine.has({"proc/device-tree/model": f"{board}\0"})


@pytest.mark.parametrize(
    ("major", "revision", "told"),
    [
        (36, "4.0", "36.4.0 (JetPack 6.1 or 6.2)"),
        (36, "5.0", "36.5.0 (JetPack 6.1 or 6.2)"),
        (38, "2.0", "38.2.0 (JetPack 7.0 or 7.1)"),
        (39, "1", "39.1 (JetPack 7.2)"),
        (41, "0.1", "41.0.1"),
    ],
)
def test_jetpacks_are_known_by_range(machine: Machine, major: int, revision: str, told: str) -> None:
    release(machine, major, revision)
    lines = machine.install("--dry-run").stdout.splitlines()
    assert f"  system   Ubuntu 22.04.5 LTS, aarch64, Jetson Linux {told}" in lines
    unknown = "Note: this Jetson Linux is not one that this script knows; it goes on as for the newest."
    assert (unknown in lines) == (major == 41)


def test_an_orin_with_an_old_jetpack_is_told_to_update(machine: Machine) -> None:
    release(machine, 35, "6.4")
    machine.fails(f"Jetson Linux 35.6.4 is too old: {TOO_OLD}. Update to JetPack 6.1 or newer.")


@pytest.mark.parametrize("revision", ["3.0", "2"])
def test_jetpack_6_0_is_told_how_apt_updates_it(machine: Machine, revision: str) -> None:
    release(machine, 36, revision)
    machine.fails(
        f"Jetson Linux 36.{revision} (JetPack 6.0) is too old: expected JetPack 6.1 or newer. From 6.0 apt-get can "
        "update: put r36.4 into /etc/apt/sources.list.d/nvidia-l4t-apt-source.list, then sudo apt-get update and sudo "
        "apt-get dist-upgrade."
    )


def test_a_jetson_without_tensorrt_is_told_of_it(machine: Machine) -> None:
    machine.is_board(BOARDS["orin-nano"])
    machine.python(minor=10, sees={"numpy": "1.21.5"})
    lines = machine.install("--dry-run").stdout.splitlines()
    assert "Note: TensorRT is not there, so the CPU will work: sudo apt-get install nvidia-jetpack" in lines


def test_converting_on_a_small_board_is_advised_against(machine: Machine) -> None:
    assert (
        "Note: converting takes 1.2 GB of memory, more than this board can spare: better convert on a workstation."
        in lines_of(machine, "pi3", "--with", "convert")
    )
