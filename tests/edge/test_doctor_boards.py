"""What the doctor says of each simulated board, as install.sh leaves it or would refuse it, without a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from edge.doctor import Finding
from tests.boards import BOARDS, write_tree
from tests.edge.test_doctor import CLOSED, OPEN, WHEELS, doctor

NO_CAMERA: Final = "Plug one in; without one, videos, folders and the built-in clip can be classified."
PICAMERA2: Final = "sudo apt-get install python3-picamera2, then ./install.sh: it lets the environment see it"
TOO_OLD: Final = "Install Python 3.10 or newer and run ./install.sh again."
NO_WAY: Final = (
    "There is no JetPack 6 for this board: in a container with Python 3.10 or newer its CPU can be used "
    "(ai-edge-litert), its GPU cannot."
)
TFLITE: Final = {"numpy": "1.26.4", "tflite-runtime": "2.14.0", "opencv-python-headless": "4.11.0.86"}
JETSON: Final = {"numpy": "1.26.4", "ai-edge-litert": "2.3.0"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    board: str
    mends: Mapping[str, str]
    """Every finding that is not ``ok``: what mends it, by check."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What some checks say."""
    problems: frozenset[str] = frozenset()
    wheels: Mapping[str, str] = field(default_factory=lambda: WHEELS)
    """What pip installed."""


EXPECTED: Final = (
    Expected(
        board="pi-zero2w",
        mends={
            "cameras": NO_CAMERA,
            "ribbon camera": PICAMERA2,
            "memory": "Add swap, for example: sudo apt-get install zram-tools",
        },
        told={"memory": "443 MB and no swap.", "throttling": "none since boot"},
    ),
    Expected(
        board="pi-zero2w-32",
        wheels=TFLITE,
        mends={
            "python": "Install the 64-bit operating system.",
            "cameras": NO_CAMERA,
            "memory": "Add swap, for example: sudo apt-get install zram-tools",
        },
        told={
            "python": "Python 3.11.2 is 32-bit under a 64-bit kernel (aarch64): ai-edge-litert has no 32-bit wheels, "
            "and tflite-runtime has them up to Python 3.11.",
            "numpy": "1.26.4",
            "ribbon camera": "picamera2 0.3.30",
        },
    ),
    Expected(
        board="pi3",
        mends={"cameras": NO_CAMERA, "throttling": "Cool the board: a heat sink, a fan, or more air."},
        told={
            "throttling": "soft temperature limit now, soft temperature limit since boot: latencies measured while the "
            "board is held back do not count.",
            "memory": "954 MB",
        },
    ),
    Expected(board="pi4", mends={"cameras": NO_CAMERA}, told={"python": "3.11.2, 64-bit", "governor": "ondemand"}),
    Expected(board="pi5", mends={"cameras": NO_CAMERA}, told={"python": "3.13.5, 64-bit", "temperature": "48 °C"}),
    Expected(
        board="orin-nano",
        wheels=JETSON,
        mends={"cameras": NO_CAMERA},
        told={
            "jetpack": "Jetson Linux 36.4.3, JetPack 6.2+b77",
            "tensorrt": "10.3.0",
            "opencv": "the system's",
            "power mode": "25W; clocks move with the load (sudo jetson_clocks fixes them)",
        },
    ),
    Expected(
        board="agx-orin",
        wheels=JETSON,
        mends={"cameras": NO_CAMERA, "temperature": "Give it a heat sink or a fan, or let it cool down."},
        told={
            "temperature": "100 °C: boards throttle here.",
            "power mode": "MAXN; clocks move with the load (sudo jetson_clocks fixes them)",
        },
    ),
    Expected(
        board="agx-orin-jp7",
        wheels=JETSON,
        mends={"cameras": NO_CAMERA},
        told={"jetpack": "Jetson Linux 39.2.0, JetPack 7.2-b1", "tensorrt": "10.16.2", "python": "3.12.3, 64-bit"},
    ),
    Expected(
        board="thor",
        wheels=WHEELS,
        mends={"cameras": NO_CAMERA},
        told={
            "jetpack": "Jetson Linux 38.4.0, JetPack 7.1-b1",
            "tensorrt": "10.13.3",
            "opencv": "opencv-python-headless 5.0.0.93",
        },
    ),
    Expected(
        board="xavier-nx",
        wheels={},
        mends={"python": TOO_OLD, "jetpack": NO_WAY, "cameras": NO_CAMERA},
        problems=frozenset({"python", "jetpack"}),
        told={"jetpack": "Jetson Linux 35.6.4, JetPack 5.1.6-b1 is too old: it carries Python 3.8 or older."},
    ),
    Expected(
        board="jetson-nano",
        wheels={},
        mends={"python": TOO_OLD, "jetpack": NO_WAY, "int8": "--backend tensorrt:fp16", "cameras": NO_CAMERA},
        problems=frozenset({"python", "jetpack"}),
        told={"int8": "This board's GPU has no int8: an int8 engine would be slower than fp16 there."},
    ),
    Expected(board="pc", mends={"cameras": NO_CAMERA}, told={"python": "3.12.3, 64-bit", "memory": "25884 MB"}),
)


def examined(root: Path, expected: Expected) -> dict[str, Finding]:
    """The findings on a board with the packages of its system, as far as the environment lets them be seen."""
    board = BOARDS[expected.board]
    packages = ("numpy", "cv2", "picamera2", "tensorrt")
    seen = {"numpy": "", **board.packages} | ({"cv2": ""} if any("opencv" in name for name in expected.wheels) else {})
    return doctor(
        write_tree(root, {**board.files, **(OPEN if board.packages else CLOSED)}),
        python=board.python,
        machine=board.machine,
        bits=board.bits,
        wheels={name: version for name, version in board.packages.items() if name != "cv2"} | dict(expected.wheels),
        broken={name: f"No module named '{name}'" for name in packages if name not in seen},
        throttled=None,
        answers=board.commands,
        opencv_build=lambda: "    GStreamer:                   YES (1.20.3)" if "cv2" in board.packages else "",
    )


@pytest.mark.parametrize("expected", EXPECTED, ids=[one.board for one in EXPECTED])
def test_each_board_is_told_what_it_needs(tmp_path: Path, expected: Expected) -> None:
    found = examined(tmp_path / "root", expected)
    assert {one.check: one.fix for one in found.values() if one.status != "ok"} == dict(expected.mends)
    assert {one.check for one in found.values() if one.status == "problem"} == expected.problems
    assert {check: found[check].detail for check in expected.told} == dict(expected.told)


def test_every_simulated_board_has_its_row() -> None:
    assert {one.board for one in EXPECTED} == BOARDS.keys() - {"laptop"}
