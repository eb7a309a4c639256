"""What the installer says it would do, and when it refuses."""

from __future__ import annotations

import shutil

import pytest

from tests.boards import BOARDS
from tests.install.machine import Machine

NUMPY_1 = "'numpy<2', because the system's packages were built for NumPy 1"


@pytest.mark.parametrize("option", ["--bogus", "demo", "--demo=1", ""])
def test_an_unknown_option_is_one_clear_line(machine: Machine, option: str) -> None:
    result = machine.install("--dry-run", option)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"install.sh: There is no option '{option}': see ./install.sh --help.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--with"], "--with needs a value: see ./install.sh --help."),
        (["--with", "--demo"], "--with needs a value: see ./install.sh --help."),
        (["--with", "torch"], "There is no part 'torch': expected live, convert, plot, signing or dev."),
        (["--with=live,page"], "There is no part 'page': expected live, convert, plot, signing or dev."),
        (["--prefix="], "--prefix needs a value: see ./install.sh --help."),
        (["--prefix", "/"], "/ cannot be installed into: name a folder of its own."),
        (["--prefix", "../.."], "../.. cannot be installed into: name a folder of its own."),
        (["--test", "--prefix", "x"], "--test runs in .venv: leave --prefix out."),
        (["--make-wheelhouse", "pi-trixie"], "--make-wheelhouse pi-trixie needs a value: see ./install.sh --help."),
        (
            ["--make-wheelhouse", "pi-buster", "x"],
            "There is no target 'pi-buster': expected pi-bookworm, pi-trixie, jetpack6 or jetpack7.",
        ),
        (
            ["--make-wheelhouse", "pi-trixie", "x", "--offline", "y"],
            "--make-wheelhouse needs the network: leave --offline out.",
        ),
        (
            ["--make-wheelhouse", "pi-trixie", "x", "--test"],
            "A wheelhouse has no part dev: expected live or convert.",
        ),
    ],
)
def test_a_senseless_option_is_one_clear_line(machine: Machine, options: list[str], message: str) -> None:
    result = machine.install(*options)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"install.sh: {message}\n")
    assert machine.calls() == []


def test_help_names_every_option(machine: Machine) -> None:
    result = machine.install("--help")
    assert result.returncode == 0
    options = ("demo", "test", "dry-run", "yes", "help", "with", "prefix", "offline", "make-wheelhouse", "service")
    for option in (*options, "uninstall", "cuda"):
        assert f"\n  --{option} " in result.stdout


def test_the_plan_tells_machine_and_steps(machine: Machine) -> None:
    machine.python(sees={"numpy": "2.2.4", "cv2": "yes"})
    assert machine.install("--dry-run").stdout.splitlines() == [
        "mobilenet-edge on Raspberry Pi 5 Model B Rev 1.0",
        "  system   Debian GNU/Linux 12 (bookworm), aarch64",
        f"  python   {machine.bin}/python3 (3.11, 64-bit)",
        "  memory   8443 MB, 210 MB swap",
        "  disk     40960 MB free, 500 MB needed",
        "  screen   no",
        "  cameras  1 video device",
        "  system's numpy 2.2.4, cv2",
        "Plan:",
        "  1. make the environment .venv",
        "  2. pip install --editable .[litert,headless]",
        "  3. check that it works: .venv/bin/edge doctor",
        "Note: ribbon cameras need picamera2: sudo apt-get install python3-picamera2, then run me again.",
    ]


@pytest.mark.parametrize("options", [(), ("--test",), ("--demo", "--test"), ("--prefix", "x"), ("--service",)])
def test_a_dry_run_touches_nothing(machine: Machine, options: tuple[str, ...]) -> None:
    machine.python(venv="no")
    machine.apt_get()
    before = {path: path.lstat().st_mtime_ns for path in machine.project.rglob("*")}
    assert machine.install("--dry-run", *options).returncode == 0
    assert {path: path.lstat().st_mtime_ns for path in machine.project.rglob("*")} == before
    assert machine.calls() == []


@pytest.mark.parametrize(
    ("options", "extras"),
    [
        (["--with", "live"], "litert,headless,live"),
        (["--with", "live", "--with=live"], "litert,headless,live"),
        (["--with=convert,live"], "litert,headless,live,convert"),
        (["--with", "signing"], "litert,headless,signing"),
        (["--with", "plot"], "litert,headless,plot"),
        (["--with", "dev"], "litert,headless,live,convert,onnx,demo,dev"),
        (["--with", "dev,live"], "litert,headless,live,convert,onnx,demo,dev"),
    ],
)
def test_parts_are_added_once_each(machine: Machine, options: list[str], extras: str) -> None:
    (step,) = (line for line in machine.plan(*options) if ". pip install --editable" in line)
    assert step.partition("--editable ")[2].partition(" ")[0] == f".[{extras}]"


def test_another_prefix_holds_a_copy(machine: Machine) -> None:
    assert machine.plan("--prefix", "apart") == [
        "1. make the environment apart",
        "2. pip install .[litert,headless]",
        "3. check that it works: apart/bin/edge doctor",
    ]


def test_a_screen_brings_the_opencv_that_opens_windows(machine: Machine) -> None:
    assert machine.plan(WAYLAND_DISPLAY="wayland-1")[1] == "2. pip install --editable .[litert,desktop]"
    assert machine.plan(DISPLAY=":0")[1] == "2. pip install --editable .[litert,desktop]"
    assert machine.plan(DISPLAY="")[1] == "2. pip install --editable .[litert,headless]"
    (machine.root / "usr/lib/aarch64-linux-gnu/libGL.so.1").unlink()
    assert machine.plan(DISPLAY=":0")[0] == "1. apt-get install libgl1 (optional)"


def test_picamera2_is_seen_and_its_numpy_left_alone(machine: Machine) -> None:
    machine.python(sees={"picamera2": "0.3.30", "numpy": "1.24.2"})
    assert machine.plan()[:2] == [
        "1. make the environment .venv with --system-site-packages, to see picamera2",
        f"2. pip install --editable .[litert,headless] {NUMPY_1}",
    ]
    machine.python(minor=13, sees={"picamera2": "0.3.30", "numpy": "2.2.4"})
    assert machine.plan()[1] == "2. pip install --editable .[litert,headless]"


def test_a_pc_needs_none_of_the_systems_packages(machine: Machine) -> None:
    machine.is_board(BOARDS["pc"])
    machine.python(sees={"tensorrt": "10.3.0", "cv2": "yes", "numpy": "1.26.4"})
    assert "mobilenet-edge on ThinkStation P3" in machine.install("--dry-run").stdout
    assert machine.plan()[:2] == ["1. make the environment .venv", "2. pip install --editable .[litert,headless]"]


def test_a_machine_that_tells_nothing_gets_a_plan(machine: Machine) -> None:
    shutil.rmtree(machine.root)
    lines = machine.install("--dry-run").stdout.splitlines()
    assert lines[:2] == ["mobilenet-edge on this machine", "  system   unknown, aarch64"]


def test_tests_bring_everything_and_torch_without_cuda(machine: Machine) -> None:
    packages = "pip install --editable .[litert,headless,live,convert,onnx,demo,dev]"
    assert machine.plan("--test") == [
        "1. make the environment .venv",
        "2. pip install torch, its CPU build from https://download.pytorch.org/whl/cpu if that answers",
        f"3. {packages} --constraint scripts/constraints.txt",
        "4. pip install tflite-runtime into .venv/tflite-runtime, for tests (optional)",
        "5. pip install timm into .venv/timm, for tests (optional)",
        "6. run the tests: scripts/test",
    ]
    assert machine.plan("--test", "--cuda")[1] == f"2. {packages}"
    machine.has({"proc/driver/nvidia/version": "NVRM version\n"})
    assert machine.plan("--test")[1] == f"2. {packages}"


@pytest.mark.parametrize(
    ("user", "venv", "step"),
    [
        (0, "no", "1. apt-get install python3-venv"),
        (1000, "no", "1. sudo apt-get install python3-venv"),
        (1000, "yes", "1. make the environment .venv"),
    ],
)
def test_system_packages_are_planned_only_where_missing(machine: Machine, user: int, venv: str, step: str) -> None:
    machine.python(venv=venv)
    machine.apt_get()
    machine.user(user)
    assert machine.plan()[0] == step


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": 11, "python3.13": 13}, "python3"),
        ({"python3": 9, "python3.10": 10, "python3.12": 12}, "python3.12"),
    ],
)
def test_the_systems_python_is_taken_before_a_newer_one_beside_it(
    machine: Machine, pythons: dict[str, int], chosen: str
) -> None:
    for name, minor in pythons.items():
        machine.python(name, minor=minor)
    assert f"  python   {machine.bin}/{chosen} (" in machine.install("--dry-run").stdout


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.python(minor=9)
    machine.fails("Python 3.9 is too old: expected 3.10 or newer, as Raspberry Pi OS Bookworm and Ubuntu 22.04 have.")


def test_without_python_and_apt_get_there_is_no_way(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    machine.fails(
        "Python 3.10 or newer with venv is missing, and there is no apt-get to install it: install "
        "python3 python3-venv."
    )


def test_a_machine_without_wheels_is_refused(machine: Machine) -> None:
    machine.kernel("riscv64")
    machine.fails(
        "LiteRT has no wheels for this machine (riscv64, 64-bit Python): expected a 64-bit Arm or x86 system."
    )


def test_a_32_bit_user_land_has_its_limits(machine: Machine) -> None:
    machine.python(bits=32)
    machine.fails(
        "Python 3.11 here is 32-bit, and torch has no 32-bit wheels: convert on a 64-bit machine.", "--with", "convert"
    )
    machine.python(minor=13, bits=32)
    machine.fails(
        "Python 3.13 here is 32-bit (kernel: aarch64), and no LiteRT runtime has 32-bit wheels for it "
        "(tflite-runtime: up to Python 3.11). Install the 64-bit operating system."
    )


def test_outside_the_project_it_says_so(machine: Machine) -> None:
    (machine.project / "pyproject.toml").unlink()
    machine.fails("There is no pyproject.toml in HERE: expected the project's folder around me.")


def test_what_tests_run_against_is_fetched_by_root_for_the_tests_only(machine: Machine) -> None:
    for tool in ("shellcheck", "chromedriver", "gst-launch-1.0"):
        (machine.bin / tool).unlink()
    (machine.root / "usr/lib/aarch64-linux-gnu/girepository-1.0/GstRtspServer-1.0.typelib").unlink()
    machine.apt_get()
    assert machine.plan()[0] == "1. make the environment .venv"
    assert machine.plan("--test")[0] == (
        "1. apt-get install shellcheck chromium-driver gstreamer1.0-tools gstreamer1.0-plugins-base "
        "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good (optional)"
    )
    machine.user(1000)
    assert machine.plan("--test")[0] == "1. make the environment .venv"


def test_a_note_tells_who_started_it_with_sudo(machine: Machine) -> None:
    note = "Note: started with sudo, so .venv will belong to root."
    assert note in machine.install("--dry-run", SUDO_USER="pi").stdout


def mac(machine: Machine, model: str = "arm64") -> None:
    machine.command("uname", f'#!/bin/sh\n[ "$1" = -s ] && echo Darwin || echo {model}\n')
    machine.command("sysctl", '#!/bin/sh\n[ "$2" = hw.model ] && echo Mac15,3 || echo 17179869184\n')
    machine.command("sw_vers", "#!/bin/sh\necho 15.1\n")
    shutil.rmtree(machine.root, ignore_errors=True)


def test_a_mac_converts_and_does_nothing_else(machine: Machine) -> None:
    mac(machine)
    machine.fails("On macOS this package only converts: ./install.sh --with convert.")
    lines = machine.install("--dry-run", "--with", "convert").stdout.splitlines()
    assert lines[:2] == ["mobilenet-edge on Mac15,3", "  system   macOS 15.1, arm64"]
    assert "  2. pip install --editable .[litert,headless,convert]" in lines
    mac(machine, "x86_64")
    machine.fails(
        "LiteRT has no wheels for this machine (x86_64, 64-bit Python): expected a 64-bit Arm or x86 system.",
        "--with=convert",
    )


def test_matplotlib_for_a_32_bit_system_comes_from_apt_get_once(machine: Machine) -> None:
    machine.python(bits=32, sees={"numpy": "1.24.2", "cv2": "4.6.0", "psutil": "5.9.4"})
    assert "1. apt-get install python3-matplotlib" in machine.plan("--with", "plot")[0]
