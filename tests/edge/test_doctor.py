"""What the doctor finds on machines that are well, and on those that are not."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from edge.board.device import describe
from edge.board.health import read_health
from edge.bundles.registry import Installed
from edge.doctor import Finding, Surroundings, examine, probes
from tests.boards import commands
from tests.edge.conftest import make_profile

Board = Callable[[str], Path]
MakeTree = Callable[[Mapping[str, str]], Path]


@dataclass(frozen=True)
class Report:
    name: str
    is_available: bool
    detail: str


WHEELS = {"numpy": "2.4.6", "ai-edge-litert": "2.3.0", "opencv-python-headless": "5.0.0.93"}
WORKS = (Report("litert", True, "ai-edge-litert 2.3.0"), Report("onnxruntime", False, "No module named 'onnxruntime'"))
QUIET_PI = "throttled=0x0"
NO_PICAMERA2 = {"picamera2": "No module named 'picamera2'"}
NO_TENSORRT = {"tensorrt": "No module named 'tensorrt'"}
TODAY: Final = datetime(2026, 11, 24, 12, tzinfo=timezone.utc).timestamp()
OPEN: Final = {"venv/pyvenv.cfg": "include-system-site-packages = true\n"}
CLOSED: Final = {"venv/pyvenv.cfg": "include-system-site-packages = false\n"}


def doctor(
    root: Path,
    *,
    python: str = "3.11.2",
    machine: str = "aarch64",
    bits: int = 64,
    wheels: Mapping[str, str] = WHEELS,
    broken: Mapping[str, str] = NO_PICAMERA2 | NO_TENSORRT,
    throttled: str | None = QUIET_PI,
    answers: Mapping[str, str] = {},
    folders: Mapping[str, Path] = {},
    **replaced: Any,
) -> dict[str, Finding]:
    """The findings by check, on a machine that is well but for what is given."""
    (root / "venv").mkdir(exist_ok=True)
    run = commands(({"vcgencmd": throttled} if throttled else {}) | dict(answers))
    parts: dict[str, Any] = {
        "health": read_health(root, run, lambda: None),
        "run": run,
        "environ": {"XDG_DATA_HOME": str(root / "data"), "XDG_STATE_HOME": str(root / "state")},
        "prefix": root / "venv",
        "user": "ada",
        "now_s": TODAY,
        "device": replace(describe(root, machine=machine, pointer_bits=bits), python=python),
        "import_check": broken.get,
        "version_of": wheels.get,
        "folder_of": folders.get,
        "backends": lambda: WORKS,
        "self_test": lambda name: (True, "8 variants gave the golden answers"),
        "opencv_build": lambda: "  GStreamer:                   YES (1.20.3)",
        "can_open": lambda _: True,
        "free_mb": lambda _: 9000,
        "c_library": lambda: ("glibc", "2.36"),
        "groups": lambda: frozenset({"video", "render", "ada"}),
    }
    with patch.dict(os.environ, (parts | replaced)["environ"]):
        findings = examine(Surroundings(root=root, **parts | replaced))
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


ARGUS: Final = "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"


def webcam(node: int = 0, name: str = "HD Pro Webcam C920") -> dict[str, str]:
    return {f"dev/video{node}": "", f"sys/class/video4linux/video{node}/name": f"{name}\n"}


def finding(check: str, status: Any, detail: str, fix: str = "") -> Finding:
    return Finding(check=check, status=status, detail=detail, fix=fix)


def test_a_raspberry_pi_5_with_a_webcam_is_well(board: Board, tree: MakeTree) -> None:
    board("pi5")
    assert doctor(tree(webcam()), broken={}, wheels=WHEELS | {"picamera2": "0.3.30"}) == {
        "python": finding("python", "ok", "3.11.2, 64-bit"),
        "c library": finding("c library", "ok", "glibc 2.36"),
        "numpy": finding("numpy", "ok", "2.4.6"),
        "opencv": finding("opencv", "ok", "opencv-python-headless 5.0.0.93"),
        "backend litert": finding("backend litert", "ok", "ai-edge-litert 2.3.0"),
        "backend onnxruntime": finding("backend onnxruntime", "ok", "not in use: No module named 'onnxruntime'"),
        "bundle demo": finding("bundle demo", "ok", "8 variants gave the golden answers"),
        "cameras": finding("cameras", "ok", "/dev/video0 (HD Pro Webcam C920)"),
        "ribbon camera": finding("ribbon camera", "ok", "picamera2 0.3.30"),
        "groups": finding("groups", "ok", "video"),
        "display": finding("display", "ok", "none: the picture goes to a web page or a file"),
        "throttling": finding("throttling", "ok", "none since boot"),
        "temperature": finding("temperature", "ok", "48 °C"),
        "governor": finding("governor", "ok", "ondemand"),
        "memory": finding("memory", "ok", "8443 MB"),
        "disk": finding("disk", "ok", "9000 MB free"),
        "clock": finding("clock", "ok", "2026-11-24 12:00 UTC"),
    }


def test_a_jetson_with_the_systems_tensorrt_and_opencv_is_well(board: Board, tree: MakeTree) -> None:
    board("orin-nano")
    found = doctor(
        tree(webcam(name="vi-output, imx219 9-0010") | OPEN | {ARGUS: ""}),
        wheels={"numpy": "1.26.4", "ai-edge-litert": "2.3.0", "tensorrt": "10.3.0"},
        broken={},
        throttled=None,
        answers={"nvpmodel -q": "NV Power Mode: 15W\n1\n", "nvidia-jetpack": "6.2+b77"},
    )
    told = ("opencv", "jetpack", "tensorrt", "ribbon camera", "power mode")
    assert {check: found[check].detail for check in told} == {
        "opencv": "the system's",
        "jetpack": "Jetson Linux 36.4.3, JetPack 6.2+b77",
        "tensorrt": "10.3.0",
        "ribbon camera": "/dev/video0: open it as csi://0, for as a number it gives raw Bayer",
        "power mode": "15W; clocks move with the load (sudo jetson_clocks fixes them)",
    }
    assert {one.status for one in found.values()} == {"ok"}
    assert "throttling" not in found


def test_a_pc_is_not_asked_for_what_only_boards_have(board: Board) -> None:
    found = doctor(board("pc"), machine="x86_64", throttled=None)
    assert not {"throttling", "temperature", "governor", "jetpack", "tensorrt", "ribbon camera"} & found.keys()


@pytest.mark.parametrize(
    ("python", "bits", "machine", "status", "detail"),
    [
        ("3.9.2", 64, "aarch64", "problem", "Python 3.9.2 is too old."),
        ("3.10.0", 64, "aarch64", "ok", "3.10.0, 64-bit"),
        (
            "3.11.2",
            32,
            "aarch64",
            "warning",
            "Python 3.11.2 is 32-bit under a 64-bit kernel (aarch64): ai-edge-litert has no 32-bit wheels, and "
            "tflite-runtime has them up to Python 3.11.",
        ),
        (
            "3.13.5",
            32,
            "armv7l",
            "problem",
            "Python 3.13.5 is 32-bit: ai-edge-litert has no 32-bit wheels, and tflite-runtime has them up to "
            "Python 3.11.",
        ),
    ],
)
def test_the_interpreter_must_be_new_enough_and_64_bit(
    board: Board, python: str, bits: int, machine: str, status: str, detail: str
) -> None:
    found = doctor(board("pi4"), python=python, bits=bits, machine=machine)["python"]
    assert (found.status, found.detail) == (status, detail)
    assert bool(found.fix) == (status != "ok")


@pytest.mark.parametrize(
    ("wheels", "status"),
    [
        ({"numpy": "2.4.6", "tflite-runtime": "2.14.0"}, "problem"),
        ({"numpy": "1.26.4", "tflite-runtime": "2.14.0"}, "ok"),
        ({"numpy": "2.4.6", "tflite-runtime": "2.14.0", "ai-edge-litert": "2.3.0"}, "ok"),
        ({"numpy": "2.4.6"}, "ok"),
    ],
)
def test_numpy_2_breaks_tflite_runtime_where_that_is_the_only_one(
    board: Board, wheels: dict[str, str], status: str
) -> None:
    found = doctor(board("pi4"), wheels=wheels)["numpy"]
    assert found.status == status
    if status == "problem":
        assert found.detail == "tflite-runtime 2.14.0 was built for NumPy 1 and fails with NumPy 2.4.6."
        assert found.fix == "pip install 'numpy<2'"


def test_a_missing_numpy_is_a_problem(board: Board) -> None:
    found = doctor(board("pi4"), broken={"numpy": "No module named 'numpy'"})["numpy"]
    fix = "Run ./install.sh again, or: pip install numpy"
    assert found == finding("numpy", "problem", "No module named 'numpy'", fix)


@pytest.mark.parametrize(
    ("reason", "wheels", "fix"),
    [
        (
            "No module named 'cv2'",
            {},
            "Run ./install.sh again, or in its folder: pip install '.[headless]', '.[desktop]' to see a window",
        ),
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            {"opencv-python": "5.0.0.93"},
            "sudo apt-get install libgl1, or without a screen: pip install opencv-python-headless",
        ),
        (
            "numpy.core.multiarray failed to import",
            {"numpy": "2.2.6"},
            "The system's OpenCV was built for NumPy 1: pip install 'numpy<2'",
        ),
    ],
)
def test_an_opencv_that_cannot_be_imported_is_a_problem(
    board: Board, reason: str, wheels: dict[str, str], fix: str
) -> None:
    found = doctor(board("orin-nano"), wheels=wheels, broken={"cv2": reason})["opencv"]
    assert found == finding("opencv", "problem", reason, fix)


def test_two_opencv_wheels_are_warned_of(board: Board) -> None:
    found = doctor(board("pi5"), wheels=WHEELS | {"opencv-python": "5.0.0.93"})["opencv"]
    assert found == finding(
        "opencv",
        "warning",
        "opencv-python 5.0.0.93 and opencv-python-headless 5.0.0.93 are both installed and overwrite each other's "
        "files.",
        "pip uninstall opencv-python opencv-python-headless, then ./install.sh",
    )


def test_an_opencv_wheel_on_a_jetson_hides_the_one_with_gstreamer(board: Board, tree: MakeTree) -> None:
    board("orin-nano")
    found = doctor(tree({"usr/lib/python3.10/dist-packages/cv2/__init__.py": ""}))["opencv"]
    assert (found.status, found.fix) == ("warning", "pip uninstall opencv-python-headless")
    assert found.detail == (
        "opencv-python-headless 5.0.0.93 hides JetPack's OpenCV, the one with GStreamer: csi:// goes through a "
        "gst-launch-1.0 of its own, which costs copies."
    )


def test_without_any_backend_there_is_a_problem(board: Board) -> None:
    found = doctor(board("pi5"), backends=lambda: (Report("litert", False, "neither runtime can be imported"),))
    assert found["backend litert"].detail == "not in use: neither runtime can be imported"
    assert found["backends"] == finding(
        "backends",
        "problem",
        "No inference backend works here.",
        "Run ./install.sh again, or: pip install ai-edge-litert",
    )


def test_backends_that_cannot_even_be_loaded_are_a_problem_not_a_traceback(board: Board) -> None:
    def fail() -> tuple[Report, ...]:
        raise ImportError("No module named 'cv2'\nand more")

    found = doctor(board("pi5"), backends=fail)["backends"]
    assert (found.status, found.detail) == ("problem", "The backends cannot be loaded: No module named 'cv2'")


@pytest.mark.parametrize(
    ("version", "status", "detail"),
    [
        ("R32 (release), REVISION: 7.1", "problem", "Jetson Linux 32.7.1, JetPack 4 is too old: it carries Python 3.8"),
        ("R35 (release), REVISION: 6.4", "problem", "Jetson Linux 35.6.4, JetPack 5 is too old: it carries Python 3.8"),
        ("R36 (release), REVISION: 3.0", "warning", "Jetson Linux 36.3.0, JetPack 6.0 has an older TensorRT"),
        ("R36 (release), REVISION: 4.3", "ok", "Jetson Linux 36.4.3, JetPack 6.1 or 6.2"),
        ("R36 (release), REVISION: 5.0", "ok", "Jetson Linux 36.5.0, JetPack 6.1 or 6.2"),
        ("R38 (release), REVISION: 2.1", "ok", "Jetson Linux 38.2.1, JetPack 7.0"),
        ("R38 (release), REVISION: 4.0", "ok", "Jetson Linux 38.4.0, JetPack 7.1"),
        ("R39 (release), REVISION: 2.0", "ok", "Jetson Linux 39.2.0, JetPack 7.2"),
        ("R41 (release), REVISION: 1.0", "ok", "Jetson Linux 41.1.0, a JetPack unknown to this version"),
    ],
)
def test_jetson_linux_is_known_by_range(board: Board, tree: MakeTree, version: str, status: str, detail: str) -> None:
    board("orin-nano")
    found = doctor(tree({"etc/nv_tegra_release": f"# {version}, GCID: 1\n"}))["jetpack"]
    assert found.status == status
    assert found.detail.startswith(detail)
    assert found.fix == ("" if status == "ok" else "Update to JetPack 6.1 or newer.")


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        (
            "include-system-site-packages = false\n",
            "sudo apt-get install nvidia-jetpack if it is missing, then ./install.sh: it lets the environment see it",
        ),
        (
            "include-system-site-packages = true\n",
            "sudo apt-get install nvidia-jetpack; the environment must use the system's python3.",
        ),
    ],
)
def test_a_jetson_without_tensorrt_is_told_how_to_get_it(board: Board, tree: MakeTree, settings: str, fix: str) -> None:
    board("orin-nano")
    found = doctor(tree({"venv/pyvenv.cfg": settings}))["tensorrt"]
    assert (found.status, found.fix) == ("warning", fix)
    assert found.detail.endswith("No module named 'tensorrt'")


def test_a_camera_this_user_may_not_open_names_the_group(board: Board, tree: MakeTree) -> None:
    board("pi5")
    found = doctor(tree(webcam(0) | webcam(2)), can_open=lambda path: path.name == "video0")["cameras"]
    fix = "sudo usermod -aG video ada, then log in again"
    assert found == finding("cameras", "warning", "This user may not open /dev/video2.", fix)


def test_the_video_nodes_a_raspberry_pi_always_has_are_no_cameras(board: Board, tree: MakeTree) -> None:
    board("pi4")
    found = doctor(tree(webcam(10, "bcm2835-codec-decode") | webcam(13, "bcm2835-isp-output0")))
    assert found["cameras"].detail == "There is no /dev/video* of a camera."
    assert found["ribbon camera"].status == "warning"


def test_cameras_stand_in_the_order_of_their_numbers(board: Board, tree: MakeTree) -> None:
    board("pc")
    found = doctor(tree({**webcam(10, ""), **webcam(2, "B"), "dev/video-old": ""}))["cameras"]
    assert found.detail == "/dev/video2 (B), /dev/video10"


@pytest.mark.parametrize(
    ("broken", "status", "detail"),
    [
        (
            NO_PICAMERA2,
            "warning",
            "/dev/video0: OpenCV cannot open it, and csi:// needs picamera2: No module named 'picamera2'",
        ),
        ({}, "ok", "/dev/video0: open it as csi://0; picamera2 0.3.30"),
    ],
)
def test_a_ribbon_camera_needs_picamera2(
    board: Board, tree: MakeTree, broken: dict[str, str], status: str, detail: str
) -> None:
    board("pi5")
    files = webcam(0, "rp1-cfe-csi2_ch0") | webcam(8)
    found = doctor(tree(files), broken=broken, wheels=WHEELS | {"picamera2": "0.3.30"})
    assert found["cameras"].detail == "/dev/video8 (HD Pro Webcam C920)"
    assert (found["ribbon camera"].status, found["ribbon camera"].detail) == (status, detail)


@pytest.mark.parametrize(
    ("environ", "wheels", "status", "detail"),
    [
        ({}, WHEELS, "ok", "none: the picture goes to a web page or a file"),
        ({"DISPLAY": ""}, WHEELS, "ok", "none: the picture goes to a web page or a file"),
        ({"DISPLAY": ":0"}, {"opencv-python": "5"}, "ok", "DISPLAY=:0"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-1"}, {}, "ok", "WAYLAND_DISPLAY=wayland-1"),
        ({"DISPLAY": ":0"}, WHEELS, "warning", "DISPLAY=:0, but opencv-python-headless opens no window."),
    ],
)
def test_a_screen_wants_an_opencv_that_can_open_windows(
    board: Board, environ: dict[str, str], wheels: dict[str, str], status: str, detail: str
) -> None:
    found = doctor(board("pi5"), environ=environ, wheels=wheels)["display"]
    assert (found.status, found.detail) == (status, detail)


@pytest.mark.parametrize(
    ("throttled", "status", "detail"),
    [
        ("throttled=0x0", "ok", "none since boot"),
        (
            "throttled=0x50001",
            "warning",
            "under-voltage now, under-voltage since boot, throttled since boot: latencies measured while the board is "
            "held back do not count.",
        ),
        (None, "warning", "vcgencmd get_throttled gives no answer: throttling cannot be seen."),
    ],
)
def test_throttling_is_named(board: Board, throttled: str | None, status: str, detail: str) -> None:
    found = doctor(board("pi4"), throttled=throttled)["throttling"]
    assert (found.status, found.detail) == (status, detail)


@pytest.mark.parametrize(("temp", "status"), [("79900", "ok"), ("80000", "warning")])
def test_a_hot_board_is_warned_of(tree: MakeTree, temp: str, status: str) -> None:
    assert doctor(tree({"sys/class/thermal/thermal_zone0/temp": temp}))["temperature"].status == status


@pytest.mark.parametrize(
    ("governor", "driver", "status"),
    [
        ("powersave", "cpufreq-dt", "warning"),
        ("powersave", "intel_pstate", "ok"),
        ("powersave", "amd-pstate-epp", "ok"),
        ("performance", "cpufreq-dt", "ok"),
    ],
)
def test_a_governor_that_keeps_the_clock_low_is_warned_of(
    tree: MakeTree, governor: str, driver: str, status: str
) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    found = doctor(tree({f"{folder}/scaling_governor": governor, f"{folder}/scaling_driver": driver}))["governor"]
    assert found.status == status
    if status == "warning":
        assert found.fix == "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


@pytest.mark.parametrize(
    ("memory_kb", "swap_kb", "status"), [(437_000, 0, "warning"), (437_000, 102_396, "ok"), (948_000, 0, "ok")]
)
def test_little_memory_wants_swap(tree: MakeTree, memory_kb: int, swap_kb: int, status: str) -> None:
    root = tree({"proc/meminfo": f"MemTotal: {memory_kb} kB\nSwapTotal: {swap_kb} kB\n"})
    assert doctor(root)["memory"].status == status


@pytest.mark.parametrize(("free", "status"), [(500, "ok"), (499, "warning"), (50, "warning"), (49, "problem")])
def test_a_full_disk_is_told(board: Board, free: int, status: str) -> None:
    assert doctor(board("pi4"), free_mb=lambda _: free)["disk"].status == status


def test_findings_are_json(board: Board) -> None:
    found = doctor(board("pi4"))["throttling"]
    assert json.loads(json.dumps(found.to_dict())) == {
        "check": "throttling",
        "status": "ok",
        "detail": "none since boot",
        "fix": "",
    }


def test_this_machine_can_be_examined() -> None:
    found = {one.check: one for one in examine()}
    assert found["python"].status == found["numpy"].status == found["opencv"].status == "ok"
    assert found["bundle demo"].detail.endswith(" variants gave the golden answers")


def test_an_import_that_fails_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_binary.py").write_text("raise SystemError('initialization failed\\nbecause')")
    monkeypatch.syspath_prepend(tmp_path)
    assert probes.import_reason("broken_binary") == "initialization failed"
    assert probes.import_reason("no_such_module_anywhere") == "No module named 'no_such_module_anywhere'"
    assert probes.import_reason("json") is None


@pytest.mark.parametrize(
    "line", ["raise RuntimeError('bad ABI\\nmore')", "raise SystemExit('bad ABI')", "raise KeyError"]
)
def test_no_broken_library_ends_the_examination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: Board, line: str
) -> None:
    (tmp_path / "broken_module.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    reason = "KeyError" if "KeyError" in line else "bad ABI"
    assert probes.import_reason("broken_module") == reason

    def backends() -> tuple[probes.BackendReport, ...]:
        importlib.import_module("broken_module")
        return ()

    found = doctor(board("pi4"), backends=backends)["backends"]
    assert (found.status, found.detail) == ("problem", f"The backends cannot be loaded: {reason}")


def test_what_is_installed_and_allowed_is_asked_of_the_system(tmp_path: Path) -> None:
    assert probes.installed_version("no-such-distribution") is None
    assert probes.installed_version("numpy")
    assert probes.may_open(tmp_path)
    assert not probes.may_open(tmp_path / "video0")
    assert probes.free_mb(tmp_path) > 0


class TestPython:
    @pytest.mark.parametrize(
        ("python", "machine", "wheels", "status"),
        [
            ("3.14.0", "aarch64", {}, "ok"),
            ("3.15.0", "aarch64", {}, "problem"),
            ("3.15.0", "aarch64", WHEELS, "ok"),
            ("3.13.5", "riscv64", {}, "problem"),
        ],
    )
    def test_there_must_be_a_wheel_for_it(
        self, board: Board, python: str, machine: str, wheels: dict[str, str], status: str
    ) -> None:
        found = doctor(board("pi5"), python=python, machine=machine, wheels=wheels)["python"]
        assert (found.status, bool(found.fix)) == (status, status != "ok")

    @pytest.mark.parametrize(
        ("library", "runtime", "status", "told"),
        [
            (("glibc", "2.36"), "2.14.0", "ok", "glibc 2.36"),
            (("glibc", "2.31"), "2.13.0", "ok", "glibc 2.31"),
            (("glibc", "2.31"), "2.14.0", "problem", "older than the 2.34 that tflite-runtime 2.14 needs"),
            (("glibc", "2.24"), "2.13.0", "problem", "older than the 2.27 that ai-edge-litert needs"),
            (("musl", "1.2.5"), "2.13.0", "problem", "the runtimes' wheels need glibc"),
        ],
    )
    def test_the_c_library_must_be_new_enough(
        self, board: Board, library: tuple[str, str], runtime: str, status: str, told: str
    ) -> None:
        wheels = {"numpy": "1.26.4", "tflite-runtime": runtime}
        found = doctor(board("pi4"), wheels=wheels, c_library=lambda: library)["c library"]
        assert found.status == status
        assert told in found.detail

    def test_a_c_library_that_tells_nothing_is_no_finding(self, board: Board) -> None:
        assert "c library" not in doctor(board("pi4"), c_library=lambda: ("", ""))

    @pytest.mark.parametrize(
        ("package", "settings", "status"),
        [
            ("python3/dist-packages/picamera2", CLOSED, "warning"),
            ("python3/dist-packages/picamera2", OPEN, "ok"),
            ("python3.10/dist-packages/tensorrt", CLOSED, "warning"),
            ("python3/dist-packages/requests", CLOSED, "ok"),
        ],
    )
    def test_an_environment_that_hides_what_is_needed(
        self, board: Board, tree: MakeTree, package: str, settings: dict[str, str], status: str
    ) -> None:
        board("pi5")
        found = doctor(tree({f"usr/lib/{package}/__init__.py": ""} | settings))["environment"]
        assert found.status == status
        if status == "warning":
            name = package.rpartition("/")[2]
            assert found.detail.endswith(f"venv does not see the system's packages, {name} among them.")
            assert found.fix == "Run ./install.sh again: it lets the environment see them."

    def test_the_systems_python_is_not_pips(self, board: Board, tree: MakeTree) -> None:
        board("pi5")
        assert "environment" not in doctor(tree({}))
        found = doctor(tree({"usr/lib/python3.13/EXTERNALLY-MANAGED": ""}))["environment"]
        told = "This is the system's Python, into which pip does not install (PEP 668: EXTERNALLY-MANAGED)."
        assert found == finding(
            "environment", "warning", told, "./install.sh makes an environment, .venv; run .venv/bin/edge there."
        )


class TestAnswers:
    def test_an_interpreter_that_imports_but_cannot_be_built_is_a_problem(self, board: Board) -> None:
        """As tflite-runtime beside NumPy 2."""
        told = "No backend could open mobilenet_v1_0.50_224. litert: tflite-runtime 2.14.0 cannot load it: SystemError"
        found = doctor(board("pi4"), self_test=lambda _: (False, told))["bundle demo"]
        assert found == finding("bundle demo", "problem", told, "Run ./install.sh again")

    def test_installed_bundles_are_tested_too(self, board: Board) -> None:
        root = board("pi4")
        home = root / "data/mobilenet-edge/bundles/birds"
        home.mkdir(parents=True)
        Installed(home=home).switch("1" * 16)
        found = doctor(root, self_test=lambda name: (name == "demo", f"{name} was tested"))
        assert found["bundle demo"].status == "ok"
        assert found["bundle birds"] == finding(
            "bundle birds", "problem", "birds was tested", "edge bundle rollback birds"
        )

    def test_a_note_that_makes_no_sense_is_told(self, board: Board, tree: MakeTree) -> None:
        board("pi4")
        found = doctor(tree({"data/mobilenet-edge/bundles/birds/active.json": "{}"}))
        assert found["bundles"].fix == "edge bundle activate installs it again"

    def test_without_numpy_nothing_is_said_twice(self, board: Board) -> None:
        assert "bundle demo" not in doctor(board("pi4"), broken={"numpy": "No module named 'numpy'"})

    def test_the_real_one_runs_in_a_process_of_its_own(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        is_right, told = probes.self_test(str(tmp_path / "no"))
        assert not is_right
        assert told.startswith(f"There is no bundle {tmp_path / 'no'}")

        def killed(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, -4, "", "")

        monkeypatch.setattr(subprocess, "run", killed)
        assert probes.self_test("demo") == (False, "The self-test was ended by SIGILL.")


class TestOpenCV:
    @pytest.mark.parametrize("contrib", ["opencv-contrib-python", "opencv-contrib-python-headless"])
    def test_contrib_wheels_are_wheels_too(self, board: Board, contrib: str) -> None:
        found = doctor(board("pi5"), wheels=WHEELS | {contrib: "4.11.0"})["opencv"]
        assert found.status == "warning"
        assert f"{contrib} 4.11.0" in found.detail
        assert found.fix.startswith("pip uninstall opencv-")

    def test_one_without_gstreamer_needs_gstreamers_own_program_on_a_jetson(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        without = "    GStreamer:                   NO\n"
        found = doctor(tree({}), opencv_build=lambda: without)["opencv"]
        assert found.status == "warning"
        assert found.fix == (
            "sudo apt-get install gstreamer1.0-tools, or: pip uninstall opencv-python-headless; sudo apt-get install "
            "nvidia-opencv, then ./install.sh"
        )
        found = doctor(tree({"usr/bin/gst-launch-1.0": ""}), opencv_build=lambda: without)["opencv"]
        assert found.status == "ok"
        assert "goes through a gst-launch-1.0 of its own" in found.detail

    def test_static_memory_that_is_used_up_has_a_way_round(self, board: Board) -> None:
        reason = "/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block"
        found = doctor(board("orin-nano"), broken={"cv2": reason})["opencv"]
        assert found.fix.startswith("export LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1")

    def test_windows_without_a_screen(self, board: Board) -> None:
        found = doctor(board("pi5"), wheels={"opencv-contrib-python": "4.11.0"})["display"]
        assert found.status == "warning"
        assert found.fix.startswith("pip uninstall opencv-contrib-python")


class TestCameras:
    def test_one_that_another_program_has(self, board: Board, tree: MakeTree) -> None:
        board("pi5")
        root = tree(webcam(0) | {"proc/812/comm": "chromium\n", f"proc/{os.getpid()}/comm": "us\n"})
        for process in ("812", str(os.getpid())):
            (root / f"proc/{process}/fd").mkdir()
            (root / f"proc/{process}/fd/7").symlink_to("/dev/video0")
        found = doctor(root)["cameras"]
        assert found.detail == "/dev/video0 is in use by chromium (process 812): a camera serves one program at a time."

    def test_picamera2_from_pip_breaks_with_the_next_update(self, board: Board, tree: MakeTree) -> None:
        board("pi5")
        root = tree(OPEN)
        inside = {"picamera2": root / "venv/lib/python3.11/site-packages"}
        found = doctor(root, broken={}, wheels=WHEELS | {"picamera2": "0.3.36"}, folders=inside)["ribbon camera"]
        assert found.detail == "picamera2 0.3.36 comes from pip, and breaks when apt updates the libcamera below it."
        assert found.fix.startswith("pip uninstall picamera2; sudo apt-get install python3-picamera2")
        outside = {"picamera2": root / "usr/lib/python3/dist-packages"}
        found = doctor(root, broken={}, wheels=WHEELS | {"picamera2": "0.3.30"}, folders=outside)["ribbon camera"]
        assert found.status == "ok"

    def test_a_jetsons_ribbon_camera_needs_nvidias_source(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        found = doctor(tree(webcam(name="vi-output, imx219 9-0010")))["ribbon camera"]
        assert found.status == "warning"
        assert found.fix == "sudo apt-get install nvidia-l4t-camera nvidia-l4t-gstreamer"

    @pytest.mark.parametrize(
        ("name", "groups", "listed", "status", "fix"),
        [
            ("pi5", {"video"}, "", "ok", ""),
            ("pi5", set(), "", "warning", "sudo usermod -aG video ada, then log in again"),
            ("pi5", set(), "video:x:44:pi,ada\n", "warning", "Log out and in again, or restart."),
            ("orin-nano", {"video", "render"}, "", "ok", ""),
            ("orin-nano", set(), "", "warning", "sudo usermod -aG video,render ada, then log in again"),
            ("orin-nano", {"video"}, "render:x:104:ada\n", "warning", "Log out and in again, or restart."),
        ],
    )
    def test_the_user_belongs_to_the_groups(
        self, board: Board, tree: MakeTree, name: str, groups: set[str], listed: str, status: str, fix: str
    ) -> None:
        board(name)
        found = doctor(tree({"etc/group": f"root:x:0:\n{listed}"}), groups=lambda: frozenset(groups))["groups"]
        assert (found.status, found.fix) == (status, fix)

    def test_root_needs_no_groups(self, board: Board) -> None:
        assert "groups" not in doctor(board("pi5"), groups=lambda: None)

    def test_a_pc_is_not_asked(self, board: Board) -> None:
        assert "groups" not in doctor(board("pc"), groups=lambda: frozenset())


class TestJetson:
    def test_a_binding_of_another_python(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        found = doctor(tree(OPEN | {"usr/lib/python3.10/dist-packages/tensorrt/__init__.py": ""}))["tensorrt"]
        assert found == finding(
            "tensorrt",
            "warning",
            "TensorRT's binding is for python3.10, and this is Python 3.11.2: No module named 'tensorrt'",
            "Make the environment with python3.10: rm -rf .venv, then ./install.sh",
        )

    def test_pips_tensorrt_hides_jetpacks(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        root = tree(OPEN)
        wheels = WHEELS | {"tensorrt": "11.4.0", "tensorrt-cu12": "11.4.0"}
        inside = dict.fromkeys(("tensorrt", "tensorrt-cu12"), root / "venv/lib")
        found = doctor(root, broken={}, wheels=wheels, folders=inside)["tensorrt"]
        assert (found.status, found.fix) == ("warning", "pip uninstall tensorrt tensorrt-cu12")

    @pytest.mark.parametrize(("installed", "status"), [("13.4.4", "warning"), ("12.6.2", "ok")])
    def test_cuda_bindings_of_another_cuda(self, board: Board, tree: MakeTree, installed: str, status: str) -> None:
        board("orin-nano")
        root = tree({"usr/local/cuda/version.json": '{"cuda": {"version": "12.6.11"}}'})
        found = doctor(root, wheels=WHEELS | {"cuda-bindings": installed})["cuda bindings"]
        assert found.status == status
        if status == "warning":
            assert found.fix == "pip install 'cuda-bindings==12.*', or pip uninstall cuda-bindings"

    @pytest.mark.parametrize("version", ["", "{}", '{"cuda": {"version": 12}}', "[]"])
    def test_a_cuda_that_does_not_tell_its_version_is_no_finding(
        self, board: Board, tree: MakeTree, version: str
    ) -> None:
        board("orin-nano")
        root = tree({"usr/local/cuda/version.json": version})
        assert "cuda bindings" not in doctor(root, wheels=WHEELS | {"cuda-bindings": "13.4.4"})

    def test_engines_of_before_an_update_are_told(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        folder = "cache/mobilenet-edge/engines/m.trt{}-cuda12.6-sm87-l4t{}-0123456789abcdef.engine"
        fits, old = folder.format("10.3.0.30", "36.4.3"), folder.format("10.3.0.30", "36.3.0")
        root = tree({fits: ""})
        usual: dict[str, Any] = {
            "environ": {"XDG_CACHE_HOME": str(root / "cache")},
            "wheels": WHEELS | {"tensorrt": "10.3.0"},
        }
        assert doctor(root, **usual)["engines"].status == "ok"
        found = doctor(tree({old: ""}), **usual)["engines"]
        assert found.status == "warning"
        assert found.detail.startswith("1 of 2 engines in ")
        usual["wheels"] = WHEELS | {"tensorrt": "10.4.0"}
        assert doctor(root, **usual)["engines"].detail.startswith("2 of 2 engines in ")

    def test_clocks_that_jetson_clocks_fixed(self, board: Board, tree: MakeTree) -> None:
        board("orin-nano")
        cpus = [f"sys/devices/system/cpu/cpu{n}/cpufreq" for n in range(6)]
        files = {f"{cpu}/scaling_{end}_freq": "1728000\n" for cpu in cpus for end in ("min", "max")}
        found = doctor(tree(files), answers={"nvpmodel -q": "NV Power Mode: MAXN\n0\n"})["power mode"]
        assert found.detail == "MAXN; clocks fixed (jetson_clocks)"

    def test_a_jetson_without_its_release_file(self, board: Board) -> None:
        root = board("orin-nano")
        (root / "etc/nv_tegra_release").unlink()
        assert doctor(root)["jetpack"].status == "warning"


@pytest.mark.parametrize(
    ("bits", "fix"),
    [
        ("0x1", "Use the board's own power supply and a short cable."),
        ("0x80008", "Cool the board: a heat sink, a fan, or more air."),
        (
            "0x50005",
            "Use the board's own power supply and a short cable. Cool the board: a heat sink, a fan, or more air.",
        ),
    ],
)
def test_each_cause_of_throttling_has_its_remedy(board: Board, bits: str, fix: str) -> None:
    assert doctor(board("pi4"), throttled=f"throttled={bits}")["throttling"].fix == fix


class TestState:
    @pytest.mark.parametrize(("year", "status"), [(1970, "warning"), (2026, "warning"), (2027, "ok")])
    def test_a_clock_that_lost_its_time(self, board: Board, year: int, status: str) -> None:
        now_s = datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()
        found = doctor(board("pi4"), now_s=now_s)["clock"]
        assert found.status == status
        assert found.fix.startswith("sudo timedatectl set-ntp true") == (status == "warning")

    @pytest.mark.parametrize(
        ("changes", "status", "told"),
        [
            ({}, "ok", "valid, of 2025-01-01, ai-edge-litert 2.3.0"),
            ({"valid": False, "objections": ("The board was hot.",)}, "warning", "not valid: The board was hot."),
            (
                {"backend_version": "ai-edge-litert 2.1.0"},
                "warning",
                "measured with ai-edge-litert 2.1.0, which is not installed now",
            ),
        ],
    )
    def test_profiles_that_do_not_count_any_more(
        self, board: Board, changes: dict[str, Any], status: str, told: str
    ) -> None:
        root = board("pi4")
        path = root / "state/mobilenet-edge/profiles/raspberry-pi-4-model-b--tiny--auto-4.json"
        path.parent.mkdir(parents=True)
        make_profile({"1.00_224": 70.0}, **changes).save(path)
        found = doctor(root)["profile tiny--auto-4"]
        assert (found.status, found.detail) == (status, told)
        assert found.fix == ("" if status == "ok" else "edge profile --bundle tiny measures again")

    def test_a_damaged_profile_is_told(self, board: Board, tree: MakeTree) -> None:
        board("pi4")
        path = "state/mobilenet-edge/profiles/raspberry-pi-4-model-b--tiny--auto-4.json"
        assert "is not JSON" in doctor(tree({path: "{"}))["profile tiny--auto-4"].detail

    @pytest.mark.parametrize(
        ("told", "status", "detail"),
        [
            ("LoadState=not-found\nActiveState=inactive\n", None, ""),
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n",
                "ok",
                "mobilenet-edge is active (running)",
            ),
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=3\n",
                "warning",
                "mobilenet-edge runs, and was restarted 3 times.",
            ),
            (
                "LoadState=loaded\nActiveState=failed\nResult=watchdog\nNRestarts=5\n",
                "warning",
                "mobilenet-edge has failed (watchdog) after 5 restarts.",
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nSubState=dead\n",
                "ok",
                "mobilenet-edge is inactive (dead)",
            ),
        ],
    )
    def test_the_service_where_it_is_installed(self, board: Board, told: str, status: str | None, detail: str) -> None:
        found = doctor(board("pi4"), answers={"systemctl show mobilenet-edge": told}).get("service")
        assert (found.status if found else None) == status
        if found:
            assert found.detail == detail


def test_the_report_has_what_a_bug_report_needs() -> None:
    done = subprocess.run([sys.executable, "-m", "edge", "doctor", "--json"], capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert set(report) == {"schema_version", "created", "device", "health", "packages", "findings"}
    assert report["packages"]["numpy"]
    assert {tuple(one) for one in report["findings"]} == {("check", "status", "detail", "fix")}
    assert done.returncode == any(one["status"] == "problem" for one in report["findings"])
