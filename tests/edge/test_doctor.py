"""What the doctor finds on machines that are well, and on those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge.device import describe
from edge.doctor import Finding, examine
from edge.doctor.examination import free_mb, import_reason, installed_version, may_open

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


def doctor(
    root: Path,
    *,
    python: str = "3.11.2",
    machine: str = "aarch64",
    bits: int = 64,
    wheels: Mapping[str, str] = WHEELS,
    broken: Mapping[str, str] = NO_PICAMERA2 | NO_TENSORRT,
    throttled: str | None = QUIET_PI,
    **replaced: Any,
) -> dict[str, Finding]:
    """The findings by check, on a machine that is well but for what is given."""
    (root / "venv").mkdir(exist_ok=True)
    parts: dict[str, Any] = {
        "run": lambda command: throttled if command[0] == "vcgencmd" else None,
        "environ": {},
        "prefix": root / "venv",
        "device": replace(describe(root, machine=machine, pointer_bits=bits), python=python),
        "import_check": broken.get,
        "version_of": wheels.get,
        "backends": lambda: WORKS,
        "can_open": lambda _: True,
        "free_mb": lambda _: 9000,
    }
    findings = examine(root, **parts | replaced)
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


def webcam(node: int = 0, name: str = "HD Pro Webcam C920") -> dict[str, str]:
    return {f"dev/video{node}": "", f"sys/class/video4linux/video{node}/name": f"{name}\n"}


def finding(check: str, status: Any, detail: str, fix: str = "") -> Finding:
    return Finding(check=check, status=status, detail=detail, fix=fix)


def test_a_raspberry_pi_5_with_a_webcam_is_well(board: Board, tree: MakeTree) -> None:
    board("pi5")
    assert doctor(tree(webcam())) == {
        "python": finding("python", "ok", "3.11.2, 64-bit"),
        "numpy": finding("numpy", "ok", "2.4.6"),
        "opencv": finding("opencv", "ok", "opencv-python-headless 5.0.0.93"),
        "backend litert": finding("backend litert", "ok", "ai-edge-litert 2.3.0"),
        "backend onnxruntime": finding("backend onnxruntime", "ok", "not in use: No module named 'onnxruntime'"),
        "cameras": finding("cameras", "ok", "/dev/video0 (HD Pro Webcam C920)"),
        "display": finding("display", "ok", "none: the picture goes to a web page or a file"),
        "throttling": finding("throttling", "ok", "none since boot"),
        "temperature": finding("temperature", "ok", "48 °C"),
        "governor": finding("governor", "ok", "ondemand"),
        "memory": finding("memory", "ok", "8443 MB"),
        "disk": finding("disk", "ok", "9000 MB free"),
    }


def test_a_jetson_with_the_systems_tensorrt_and_opencv_is_well(board: Board, tree: MakeTree) -> None:
    board("orin-nano")
    found = doctor(
        tree(webcam(name="vi-output, imx219 9-0010") | {"venv/pyvenv.cfg": "include-system-site-packages = true\n"}),
        wheels={"numpy": "1.26.4", "ai-edge-litert": "2.3.0", "tensorrt": "10.3.0"},
        broken={},
        throttled=None,
        run=lambda command: "NV Power Mode: 15W\n1\n" if command[0] == "nvpmodel" else None,
    )
    assert {check: found[check].detail for check in ("opencv", "jetpack", "tensorrt", "governor")} == {
        "opencv": "the system's",
        "jetpack": "Jetson Linux 36.4.3",
        "tensorrt": "10.3.0",
        "governor": "schedutil, power mode 15W",
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


def test_an_opencv_wheel_on_a_jetson_hides_the_one_with_gstreamer(board: Board) -> None:
    found = doctor(board("orin-nano"))["opencv"]
    assert (found.status, found.fix) == ("warning", "pip uninstall opencv-python-headless")
    assert found.detail == (
        "opencv-python-headless 5.0.0.93 hides JetPack's OpenCV, the one with GStreamer: csi:// cameras will not open."
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
    ("revision", "status"), [("R35 (release), REVISION: 6.4", "problem"), ("R36 (release), REVISION: 4.3", "ok")]
)
def test_jetpack_5_is_too_old(board: Board, tree: MakeTree, revision: str, status: str) -> None:
    board("orin-nano")
    found = doctor(tree({"etc/nv_tegra_release": f"# {revision}, GCID: 1\n"}))["jetpack"]
    assert found.status == status
    if status == "problem":
        assert found.detail == "Jetson Linux 35.6.4 is too old: JetPack 5 and older carry Python 3.8 or older."
        assert found.fix == "Update to JetPack 6.1 or newer."


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
    fix = "sudo usermod -aG video $USER, then log in again"
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
        (NO_PICAMERA2, "warning", "csi:// needs picamera2: No module named 'picamera2'"),
        ({}, "ok", "picamera2 0.3.30"),
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
        ("throttled=0x50001", "warning", "under-voltage now, under-voltage since boot, throttled since boot"),
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


def test_an_import_that_fails_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_binary.py").write_text("raise SystemError('initialization failed\\nbecause')")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_reason("broken_binary") == "initialization failed"
    assert import_reason("no_such_module_anywhere") == "No module named 'no_such_module_anywhere'"
    assert import_reason("json") is None


def test_what_is_installed_and_allowed_is_asked_of_the_system(tmp_path: Path) -> None:
    assert installed_version("no-such-distribution") is None
    assert installed_version("numpy")
    assert may_open(tmp_path)
    assert not may_open(tmp_path / "video0")
    assert free_mb(tmp_path) > 0
