"""The installer: what it plans on each board, what it runs, and how it fails.

It runs on fake machines: a tree for what it reads of the system, and a PATH of plain tools, fake interpreters and a
fake apt-get, all of which note how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

PROJECT: Final = Path(__file__).parents[1]
TOOLS: Final = (
    *("awk", "cat", "chmod", "cp", "cut", "df", "dirname", "env", "grep", "head", "mkdir", "printf", "rm", "sed"),
    *("sh", "sha256sum", "tail", "tr"),
)

FAKE_PYTHON: Final = r"""#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
    "-I -c "*) echo "PROBE $0" ;;
    "-m venv "*)
        for folder in "$@"; do :; done
        mkdir -p "$folder/bin" "$folder/lib/python3.MINOR/site-packages"
        cp "$0" "$folder/bin/python"
        echo "VIRTUAL_ENV=$folder" >"$folder/bin/activate"
        ;;
    "-m pip --version") [ -z "${PIP_IS_BROKEN:-}" ] ;;
    "-m pip install "*)
        if [ -n "${PIP_SAYS:-}" ]; then echo "$PIP_SAYS"; exit 1; fi
        case "$*" in
            *--target*) [ -z "${NO_SECOND_RUNTIME:-}" ] ;;
            *)
                for program in edge camera-demo; do
                    printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\nexit "${%s:-0}"\n' \
                        "$program" "$([ $program = edge ] && echo EDGE_STATUS || echo DEMO_STATUS)" \
                        >"${0%/*}/$program"
                    chmod +x "${0%/*}/$program"
                done
                ;;
        esac
        ;;
    "-m pip uninstall "*) ;;
    "-m pytest"*)
        if [ -n "${TESTS_FAIL:-}" ]; then echo "FAILED test_x"; exit 1; fi
        echo "..."
        echo "3 passed in 0.01s"
        ;;
    *) exit 9 ;;
esac
"""

PI5: Final = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
}
ORIN: Final = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
}
PC: Final = {"sys/class/dmi/id/product_name": "ThinkStation P3\n", "etc/os-release": "PRETTY_NAME='Debian 13'\n"}


class Machine:
    """A fake machine with a copy of the installer."""

    def __init__(self, folder: Path, *, name: str = "project") -> None:
        self.root, self.bin, self.project = folder / "root", folder / "bin", folder / name
        self.calls_file = folder / "calls"
        for path in (self.root, self.bin, self.project / "scripts"):
            path.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        for file in ("install.sh", "pyproject.toml", "scripts/constraints.txt", "scripts/test"):
            shutil.copy(PROJECT / file, self.project / file)
        self.calls_file.touch()
        self.environ = {"PATH": str(self.bin), "MNE_ROOT": str(self.root), "CALLS": str(self.calls_file)}
        self.kernel("aarch64")
        self.user(0)

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)

    def kernel(self, machine: str) -> None:
        self.command("uname", f"#!/bin/sh\necho {machine}\n")

    def user(self, number: int) -> None:
        self.command("id", f"#!/bin/sh\necho {number}\n")

    def has(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def python(
        self, name: str = "python3", *, minor: int = 11, bits: int = 64, venv: str = "yes", sees: str = "no no no none"
    ) -> None:
        """``sees``: picamera2, TensorRT, OpenCV, and NumPy's major version."""
        probe = f"{minor} {bits} {venv} {sees}"
        self.command(name, FAKE_PYTHON.replace("PROBE", probe).replace("MINOR", str(minor)))

    def apt_get(self, makes: str = "") -> None:
        """An apt-get after which ``python3`` is as ``makes``, a probe line, says."""
        python = self.bin / "new-python"
        python.write_text(FAKE_PYTHON.replace("PROBE", makes).replace("MINOR", makes.partition(" ")[0]))
        python.chmod(0o755)
        move = f'case "$*" in *python3*) cp {python} {self.bin}/python3 ;; esac' if makes else ":"
        self.command("apt-get", f'#!/bin/sh\necho "apt-get $*" >>"$CALLS"\n{move}\n')
        self.command("sudo", '#!/bin/sh\necho "sudo $1" >>"$CALLS"\nexec "$@"\n')

    def install(self, *options: str, script: str = "install.sh", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.project / script), *options],
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def plan(self, *options: str, **environ: str) -> list[str]:
        """The numbered lines of the plan."""
        result = self.install("--dry-run", *options, **environ)
        assert result.returncode == 0, result.stderr
        return [line.strip() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]

    def calls(self) -> list[str]:
        """How the fakes were called since the last time, without the probing."""
        calls = self.calls_file.read_text().splitlines()
        self.calls_file.write_text("")
        known = ("python -m", "apt-get", "sudo", "edge", "camera-demo")
        return [call.replace(str(self.project), "HERE") for call in calls if call.startswith(known)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Raspberry Pi 5 with Python 3.11, and what tests run against, so that nobody wants to install it."""
    machine = Machine(tmp_path)
    machine.has(PI5)
    machine.python()
    for tool in ("shellcheck", "mosquitto", "chromium", "chromedriver"):
        machine.command(tool, "#!/bin/sh\n")
    return machine


PIP = "python -m pip install --disable-pip-version-check --no-input"
RUNTIME = f"{PIP} --editable .[litert,headless,live]"


def test_help_names_every_option(machine: Machine) -> None:
    result = machine.install("--help")
    assert result.returncode == 0
    for option in ("--demo", "--test", "--dry-run", "--yes", "--help"):
        assert f"\n  {option} " in result.stdout


@pytest.mark.parametrize("option", ["--bogus", "demo", "--demo=1", ""])
def test_an_unknown_option_is_one_clear_line(machine: Machine, option: str) -> None:
    result = machine.install("--dry-run", option)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"install.sh: There is no option '{option}': see ./install.sh --help.\n"


def test_the_plan_tells_machine_and_steps(machine: Machine) -> None:
    assert machine.install("--dry-run").stdout.splitlines() == [
        "mobilenet-edge on Raspberry Pi 5 Model B Rev 1.0",
        "  system  Debian GNU/Linux 12 (bookworm), aarch64",
        f"  python  {machine.bin}/python3 (3.11, 64-bit)",
        "  screen  no",
        "Plan:",
        "  1. make the environment .venv",
        "  2. pip install --editable .[litert,headless,live]",
        "  3. check that it works: .venv/bin/edge doctor",
    ]


@pytest.mark.parametrize("options", [(), ("--test",), ("--demo", "--test")])
def test_a_dry_run_touches_nothing(machine: Machine, options: tuple[str, ...]) -> None:
    machine.python(venv="no")
    machine.apt_get()
    before = {path: path.lstat().st_mtime_ns for path in machine.project.rglob("*")}
    assert machine.install("--dry-run", *options).returncode == 0
    assert {path: path.lstat().st_mtime_ns for path in machine.project.rglob("*")} == before
    assert machine.calls() == []


def test_a_screen_brings_the_opencv_that_opens_windows(machine: Machine) -> None:
    assert machine.plan(WAYLAND_DISPLAY="wayland-1")[1] == "2. pip install --editable .[litert,desktop,live]"
    assert machine.plan(DISPLAY=":0")[1] == "2. pip install --editable .[litert,desktop,live]"
    assert machine.plan(DISPLAY="")[1] == "2. pip install --editable .[litert,headless,live]"


def test_picamera2_is_seen_and_its_numpy_left_alone(machine: Machine) -> None:
    machine.python(sees="yes no no 1")
    assert machine.plan()[:2] == [
        "1. make the environment .venv with --system-site-packages, to see picamera2",
        "2. pip install --editable .[litert,headless,live] 'numpy<2', because the system's packages were built for "
        "NumPy 1",
    ]
    machine.python(minor=13, sees="yes no no 2")
    assert machine.plan()[1] == "2. pip install --editable .[litert,headless,live]"


def test_a_jetson_keeps_its_tensorrt_and_its_opencv(machine: Machine) -> None:
    machine.has(ORIN)
    machine.python(minor=10, sees="no yes yes 1")
    result = machine.install("--dry-run", DISPLAY=":0")
    assert "  system  Ubuntu 22.04.5 LTS, aarch64, Jetson Linux 36.4.3" in result.stdout.splitlines()
    assert machine.plan(DISPLAY=":0")[:2] == [
        "1. make the environment .venv with --system-site-packages, to see TensorRT, OpenCV with GStreamer",
        "2. pip install --editable .[litert,live] 'numpy<2', because the system's packages were built for NumPy 1",
    ]


def test_a_pc_needs_none_of_the_systems_packages(machine: Machine) -> None:
    shutil.rmtree(machine.root)
    machine.has(PC)
    machine.kernel("x86_64")
    machine.python(sees="no yes yes 2")
    assert "mobilenet-edge on ThinkStation P3" in machine.install("--dry-run").stdout
    assert machine.plan()[:2] == ["1. make the environment .venv", "2. pip install --editable .[litert,headless,live]"]


def test_a_machine_that_tells_nothing_gets_a_plan(machine: Machine) -> None:
    shutil.rmtree(machine.root)
    lines = machine.install("--dry-run").stdout.splitlines()
    assert lines[:2] == ["mobilenet-edge on this machine", "  system  unknown, aarch64"]


def test_tests_bring_everything_and_torch_without_cuda(machine: Machine) -> None:
    assert machine.plan("--test") == [
        "1. make the environment .venv",
        "2. pip install --editable .[litert,headless,live,convert,onnx,demo,dev] --constraint scripts/constraints.txt",
        "3. pip install tflite-runtime into .venv/tflite-runtime, for compatibility tests (optional)",
        "4. pip install timm into .venv/timm, for the tests of checkpoints (optional)",
        "5. run the tests: scripts/test",
    ]
    machine.has({"proc/driver/nvidia/version": "NVRM version\n"})
    assert machine.plan("--test")[1] == "2. pip install --editable .[litert,headless,live,convert,onnx,demo,dev]"


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


def test_without_any_python_the_system_gets_one(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    machine.apt_get(makes="11 64 yes no no no none")
    assert machine.plan()[0] == "1. apt-get install python3 python3-venv"
    assert machine.install().returncode == 0
    assert machine.calls() == [
        "apt-get -qq update",
        "apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends python3 python3-venv",
        "python -m venv HERE/.venv",
        RUNTIME,
        "edge doctor",
    ]


def test_sudo_is_used_for_apt_get_alone(machine: Machine) -> None:
    machine.python(venv="no")
    machine.apt_get(makes="11 64 yes no no no none")
    machine.user(1000)
    assert machine.install().returncode == 0
    assert [call for call in machine.calls() if call.startswith("sudo")] == ["sudo apt-get", "sudo env"]


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
    assert f"  python  {machine.bin}/{chosen} (" in machine.install("--dry-run").stdout


def fails(machine: Machine, message: str, **environ: str) -> str:
    """Install, expect one line of reason last, give what came before it."""
    result = machine.install(**environ)
    assert result.returncode == 1
    *before, last = result.stderr.splitlines()
    assert last == f"install.sh: {message}".replace("HERE", str(machine.project))
    return "\n".join(before)


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.python(minor=9)
    fails(
        machine,
        "Python 3.9 is too old: expected 3.10 or newer, as Raspberry Pi OS Bookworm and Ubuntu 22.04 have.",
    )


def test_without_python_and_apt_get_there_is_no_way(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    fails(
        machine,
        "Python 3.10 or newer with venv is missing, and there is no apt-get to install it: "
        "install python3 python3-venv.",
    )


def test_an_old_jetpack_is_refused(machine: Machine) -> None:
    machine.has(ORIN | {"etc/nv_tegra_release": "# R35 (release), REVISION: 6.4, GCID: 1\n"})
    fails(
        machine,
        "Jetson Linux 35.6.4 is too old: JetPack 5 and older carry Python 3.8 or older. Update to JetPack 6.1 or "
        "newer.",
    )


def test_a_32_bit_user_land_gets_tflite_runtime_while_that_has_wheels(machine: Machine) -> None:
    machine.python(minor=11, bits=32)
    assert machine.plan()[1] == "2. pip install --editable .[tflite-runtime,headless,live]"
    machine.python(minor=13, bits=32)
    fails(
        machine,
        "Python 3.13 here is 32-bit (kernel: aarch64), and no LiteRT runtime has 32-bit wheels for it "
        "(tflite-runtime: up to Python 3.11). Install the 64-bit operating system.",
    )


def test_a_machine_without_wheels_is_refused(machine: Machine) -> None:
    machine.kernel("riscv64")
    fails(
        machine,
        "LiteRT has no wheels for this machine (riscv64, 64-bit Python): expected a 64-bit Arm or x86 system.",
    )


def test_outside_the_project_it_says_so(machine: Machine) -> None:
    (machine.project / "pyproject.toml").unlink()
    fails(machine, "There is no pyproject.toml in HERE: expected the project's folder around me.")


def test_installing_makes_the_environment_and_checks_it(machine: Machine) -> None:
    result = machine.install()
    assert (result.returncode, result.stderr) == (0, "")
    assert machine.calls() == ["python -m venv HERE/.venv", RUNTIME, "edge doctor"]
    assert (machine.project / ".venv/install.log").is_file()


def test_a_second_installation_is_quick_because_nothing_changed(machine: Machine) -> None:
    machine.install()
    machine.calls()
    assert machine.plan()[0] == "1. keep .venv: it is up to date"
    assert machine.install().returncode == 0
    assert machine.calls() == ["edge doctor"]


def change_requirements(machine: Machine) -> None:
    with (machine.project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")


def add_picamera2(machine: Machine) -> None:
    machine.python(sees="yes no no 2")


def update_python(machine: Machine) -> None:
    machine.python(minor=13)


def cut_short(machine: Machine) -> None:
    (machine.project / ".venv/.installed-runtime").unlink()


def break_environment(machine: Machine) -> None:
    cut_short(machine)
    (machine.project / ".venv/bin/activate").unlink()


@pytest.mark.parametrize(
    ("change", "is_kept", "option"),
    [
        (change_requirements, True, ""),
        (add_picamera2, True, "--system-site-packages "),
        (update_python, False, ""),
        (cut_short, True, ""),
        (break_environment, False, ""),
    ],
)
def test_what_changed_is_installed_again_and_a_sound_environment_is_kept(
    machine: Machine, change: Callable[[Machine], None], is_kept: bool, option: str
) -> None:
    machine.install()
    machine.calls()
    mark = machine.project / ".venv/mark"
    mark.touch()
    change(machine)
    verb = "complete" if is_kept else "make again"
    assert machine.plan()[0].startswith(f"1. {verb} the environment .venv")
    assert machine.install().returncode == 0
    assert [call for call in machine.calls() if call != "python -m pip --version"] == [
        f"python -m venv {option}HERE/.venv",
        RUNTIME,
        "edge doctor",
    ]
    assert mark.exists() == is_kept


def test_a_folder_that_was_moved_gets_a_new_environment(tmp_path: Path, machine: Machine) -> None:
    machine.install()
    machine.calls()
    machine.project = machine.project.rename(tmp_path / "with a space")
    assert machine.install().returncode == 0
    assert machine.calls() == ["python -m venv HERE/.venv", RUNTIME, "edge doctor"]


def test_it_can_be_called_from_anywhere(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert machine.install().returncode == 0
    assert not (tmp_path / ".venv").exists()


def test_a_wheel_of_opencv_gives_way_to_the_other_and_a_window_is_kept(machine: Machine) -> None:
    machine.install()
    packages = machine.project / ".venv/lib/python3.11/site-packages"
    (packages / "opencv_python_headless-5.0.0.93.dist-info").mkdir()
    machine.calls()
    machine.install(DISPLAY=":0")
    removal = "python -m pip uninstall --disable-pip-version-check --no-input --yes opencv_python_headless"
    assert removal in machine.calls()
    (packages / "opencv_python_headless-5.0.0.93.dist-info").rename(packages / "opencv_python-5.0.0.93.dist-info")
    assert machine.plan()[0] == "1. keep .venv: it is up to date"


@pytest.mark.parametrize(
    ("pip_says", "message"),
    [
        (
            "Failed to establish a new connection: NewConnectionError\nERROR: No matching distribution found for typer",
            "pip could not install the packages: the network cannot be reached. Connect this machine and run "
            "./install.sh again; it goes on where it stopped.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "pip could not install the packages: the disk is full. Remove what you no longer need and run "
            "./install.sh again.",
        ),
        (
            "ERROR: No matching distribution found for ai-edge-litert>=2.1",
            "pip could not install the packages: a package has no version for Python 3.11 on aarch64. The log names "
            "it: HERE/.venv/install.log",
        ),
        (
            "something else",
            "pip could not install the packages: see above, and the whole log in HERE/.venv/install.log.",
        ),
    ],
)
def test_a_failing_pip_shows_its_last_lines_and_what_they_mean(machine: Machine, pip_says: str, message: str) -> None:
    assert fails(machine, message, PIP_SAYS=pip_says) == pip_says


def test_after_a_failure_it_goes_on_where_it_stopped(machine: Machine) -> None:
    machine.install(PIP_SAYS="something")
    machine.calls()
    mark = machine.project / ".venv/mark"
    mark.touch()
    assert machine.plan()[0] == "1. complete the environment .venv"
    assert machine.install().returncode == 0
    assert mark.exists()


def test_a_disk_without_room_is_told_before_anything_is_made(machine: Machine) -> None:
    (machine.bin / "df").unlink()
    machine.command("df", "#!/bin/sh\necho head\necho /dev/root 2000000 1800000 200000 90% /\n")
    fails(machine, "Only 200 MB are free in HERE: expected at least 1000 MB. Remove what you no longer need.")
    assert not (machine.project / ".venv").exists()


def test_a_file_in_the_place_of_the_environment_is_not_removed(machine: Machine) -> None:
    (machine.project / ".venv").write_text("mine")
    fails(machine, "HERE/.venv is a file: expected a folder, or a name that is free.")
    assert (machine.project / ".venv").read_text() == "mine"


def test_a_problem_found_by_the_self_test_is_a_failure(machine: Machine) -> None:
    fails(machine, "The self-test found a problem: see above.", EDGE_STATUS="1")


def test_the_demo_measures_chooses_and_looks(machine: Machine) -> None:
    assert machine.install("--demo").returncode == 0
    assert machine.calls()[2:] == [
        "edge doctor",
        "edge profile --bundle demo",
        "edge select --bundle demo --fps 30",
        "camera-demo --bundle demo --fps 30 --headless",
    ]
    assert machine.install("--demo", DEMO_STATUS="3").returncode == 3


def test_tests_are_quiet_but_for_their_closing_line(machine: Machine) -> None:
    result = machine.install("--test")
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "3 passed in 0.01s"
    assert "..." not in result.stdout.splitlines()
    assert machine.calls() == [
        "python -m venv HERE/.venv",
        f"{PIP} --editable .[litert,headless,live,convert,onnx,demo,dev] --constraint scripts/constraints.txt",
        f"{PIP} --only-binary :all: --target HERE/.venv/tflite-runtime tflite-runtime==2.14.0 numpy<2",
        f"{PIP} --no-deps --target HERE/.venv/timm timm==1.0.31",
        "python -m pytest",
    ]


def test_failing_tests_are_shown(machine: Machine) -> None:
    result = machine.install("--test", TESTS_FAIL="1")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["FAILED test_x", "install.sh: The tests failed: see above."]


def test_what_only_tests_compare_with_may_be_missing(machine: Machine) -> None:
    result = machine.install("--test", NO_SECOND_RUNTIME="1")
    assert result.returncode == 0
    for package in ("tflite-runtime", "timm"):
        assert f"Note: {package} could not be installed; its tests will be skipped." in result.stdout
    machine.python(minor=13)
    machine.calls()
    assert machine.install("--test").returncode == 0
    assert not any("tflite-runtime" in call for call in machine.calls())


def test_what_tests_run_against_is_fetched_by_root_for_the_tests_only(machine: Machine) -> None:
    for tool in ("shellcheck", "chromedriver"):
        (machine.bin / tool).unlink()
    machine.apt_get()
    assert machine.plan()[0] == "1. make the environment .venv"
    assert machine.plan("--test")[0] == "1. apt-get install shellcheck chromium-driver (optional)"
    machine.user(1000)
    assert machine.plan("--test")[0] == "1. make the environment .venv"


def test_a_note_tells_who_started_it_with_sudo(machine: Machine) -> None:
    assert (
        "Note: started with sudo, so .venv will belong to root." in machine.install("--dry-run", SUDO_USER="pi").stdout
    )


def test_the_scripts_can_be_run() -> None:
    for script in ("install.sh", "scripts/check", "scripts/test", ".ci/run"):
        assert os.access(PROJECT / script, os.X_OK), script


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    scripts = [str(PROJECT / name) for name in ("install.sh", ".ci/run", "scripts/check", "scripts/test")]
    scripts += [str(PROJECT / name) for name in ("scripts/install-service", "scripts/test-cameras", "scripts/fuzz")]
    result = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")
