"""What the installer runs, what is left when it is cut short, and how it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.machine import PIP, Machine, made

DEV = "litert,headless,live,convert,onnx,demo,dev"


def test_installing_makes_the_environment_and_checks_it(machine: Machine) -> None:
    result = machine.install()
    assert (result.returncode, result.stderr) == (0, "")
    assert machine.calls() == [*made(), "edge doctor"]
    assert "Plan:" in (machine.project / ".venv/install.log").read_text()


def test_one_link_leads_to_the_environment_in_use(machine: Machine) -> None:
    machine.install()
    venv = machine.project / ".venv"
    assert (venv / "current").readlink() == Path("1")
    for part in ("bin", "include", "lib", "pyvenv.cfg"):
        assert (venv / part).readlink() == Path("current") / part
        assert (venv / part).exists()
    assert not (venv / "tmp").exists()


def test_a_second_installation_is_quick_because_nothing_changed(machine: Machine) -> None:
    machine.install()
    machine.calls()
    assert machine.plan()[0] == "1. keep .venv: it is up to date"
    assert machine.install().returncode == 0
    assert machine.calls() == ["edge doctor"]


def test_parts_that_are_there_stay(machine: Machine) -> None:
    machine.install("--with", "live")
    assert machine.plan()[0] == "1. keep .venv: it is up to date"
    machine.calls()
    machine.install("--with", "convert")
    assert machine.calls()[2].endswith(".[litert,headless,live,convert] --constraint scripts/constraints.txt")


def change_requirements(machine: Machine) -> None:
    with (machine.project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")


def add_picamera2(machine: Machine) -> None:
    machine.python(sees={"picamera2": "0.3.30", "numpy": "2.2.4"})


def update_python(machine: Machine) -> None:
    machine.python(minor=13)


def lose_the_stamp(machine: Machine) -> None:
    (machine.project / ".venv/current/.installed").unlink()


def lose_the_program(machine: Machine) -> None:
    (machine.project / ".venv/1/bin/edge").unlink()


@pytest.mark.parametrize(
    ("change", "option"),
    [
        (change_requirements, ""),
        (add_picamera2, "--system-site-packages "),
        (update_python, ""),
        (lose_the_stamp, ""),
        (lose_the_program, ""),
    ],
)
def test_what_changed_is_rebuilt_beside_the_old_one(
    machine: Machine, change: Callable[[Machine], None], option: str
) -> None:
    machine.install()
    machine.calls()
    change(machine)
    had_program = (machine.project / ".venv/bin/edge").exists()
    assert machine.plan()[0].startswith("1. rebuild, beside the old one, the environment .venv")
    assert machine.install().returncode == 0
    tried = ["edge doctor"] if had_program else []
    assert machine.calls() == [*made(2, option=option), *tried, "edge doctor"]
    assert [path.name for path in (machine.project / ".venv").glob("[0-9]*")] == ["2"]


def test_an_environment_of_older_versions_gives_way(machine: Machine) -> None:
    venv = machine.project / ".venv"
    for folder in ("bin", "lib", "lib64", "include", "share"):
        (venv / folder).mkdir(parents=True)
        (venv / folder / "old").touch()
    for name in ("pyvenv.cfg", ".installed-live"):
        (venv / name).touch()
    assert machine.install().returncode == 0
    kept = {path.name for path in venv.iterdir()}
    assert kept == {".mobilenet-edge", "1", "bin", "current", "include", "install.log", "lib", "pyvenv.cfg"}
    assert not list(venv.rglob("old"))


def test_an_environment_that_somebody_else_made_stays(machine: Machine) -> None:
    venv = machine.project / ".venv"
    (venv / "lib").mkdir(parents=True)
    for name in ("pyvenv.cfg", "lib/mine"):
        (venv / name).write_text("mine")
    before = files_of(venv)
    refusal = "stays as it is: move it away, or choose another folder by --prefix."
    machine.fails(f"HERE/.venv was not made by this script, and {refusal}")
    machine.fails("HERE/.venv was not made by this script: it stays.", "--uninstall")
    assert files_of(venv) == before


def test_a_folder_that_was_moved_gets_a_new_environment(tmp_path: Path, machine: Machine) -> None:
    machine.install()
    machine.calls()
    machine.project = machine.project.rename(tmp_path / "with a space")
    assert machine.install().returncode == 0
    assert machine.calls()[:3] == made(2)


def test_it_can_be_called_from_anywhere(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert machine.install().returncode == 0
    assert not (tmp_path / ".venv").exists()


def test_a_window_is_kept_without_a_screen(machine: Machine) -> None:
    machine.install(DISPLAY=":0")
    (machine.project / ".venv/lib/python3.11/site-packages/opencv_python-5.0.0.93.dist-info").mkdir()
    assert machine.plan()[0] == "1. keep .venv: it is up to date"


def test_setuptools_is_left_out_where_nothing_needs_it(machine: Machine) -> None:
    fake = machine.bin / "python3"
    setuptools = '"$folder/lib/python3.11/site-packages/setuptools-65.0.dist-info"'
    fake.write_text(fake.read_text().replace('mkdir -p "$folder/bin"', f'mkdir -p {setuptools} "$folder/bin"'))
    removal = "python -m pip uninstall --disable-pip-version-check --no-input --yes setuptools"
    machine.install()
    assert removal in machine.calls()
    machine.install("--with", "convert")
    assert removal not in machine.calls()


def test_another_prefix_gets_a_copy_that_is_renewed_with_its_source(
    machine: Machine, sources: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "opt/edge"
    assert machine.install("--prefix", str(prefix)).returncode == 0
    assert machine.calls()[1] == f"{PIP} --no-compile {prefix}/1/source[litert,headless]"
    assert not (prefix / "1/source").exists() and not (sources / ".venv").exists()
    assert machine.plan("--prefix", str(prefix))[0] == f"1. keep {prefix}: it is up to date"
    (sources / "edge/x.py").write_text("changed")
    assert "rebuild" in machine.plan("--prefix", str(prefix))[0]


def test_a_folder_with_something_else_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").touch()
    refusal = "was not made by this script, and stays as it is: move it away, or choose another folder by --prefix."
    machine.fails(f"{tmp_path}/mine {refusal}", "--prefix", str(tmp_path / "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


def test_a_file_in_the_place_of_the_environment_is_not_removed(machine: Machine) -> None:
    (machine.project / ".venv").write_text("mine")
    machine.fails("HERE/.venv is a file: expected a folder, or a name that is free.")
    assert (machine.project / ".venv").read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_told(machine: Machine) -> None:
    machine.fails(
        "Cannot write in /proc/nowhere/edge: choose a folder that is yours, or run me with sudo.",
        "--prefix",
        "/proc/nowhere/edge",
    )


def test_without_any_python_the_system_gets_one(machine: Machine) -> None:
    (machine.bin / "python3").unlink()
    machine.apt_get(brings={})
    assert machine.plan()[0] == "1. apt-get install python3 python3-venv"
    assert machine.install().returncode == 0
    assert machine.calls() == [
        "apt-get -qq update",
        "apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends python3 python3-venv",
        *made(),
        "edge doctor",
    ]


def test_32_bit_takes_from_the_system_what_has_no_wheels(machine: Machine) -> None:
    machine.python(bits=32, sees={"numpy": "1.24.2"})
    machine.apt_get(brings={"numpy": "1.24.2", "cv2": "4.6.0", "psutil": "5.9.4"}, bits=32)
    assert machine.install().returncode == 0
    calls = machine.calls()
    assert calls[1].endswith("--no-install-recommends python3-opencv python3-psutil")
    assert calls[2:5] == made(extras="tflite-runtime", option="--system-site-packages ", others=" numpy<2")


def test_sudo_is_used_for_apt_get_alone(machine: Machine) -> None:
    machine.python(venv="no")
    machine.apt_get(brings={})
    machine.user(1000)
    assert machine.install().returncode == 0
    assert [call for call in machine.calls() if call.startswith("sudo")] == ["sudo apt-get", "sudo env"]


def test_an_apt_get_that_brings_nothing_is_told(machine: Machine) -> None:
    machine.python(venv="no")
    machine.apt_get()
    machine.fails(
        "apt-get installed python3-venv, and still python3-venv is missing: expected Python 3.10 or newer with venv."
    )


@pytest.mark.parametrize(
    ("pip_says", "message"),
    [
        (
            "Failed to establish a new connection: NewConnectionError\nERROR: No matching distribution found for typer",
            "the network cannot be reached. Connect this machine and run ./install.sh again; what pip has fetched it "
            "keeps. Without a network: ./install.sh --make-wheelhouse elsewhere, --offline here.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "the disk is full. Remove what you no longer need and run ./install.sh again.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: 'x'",
            "something there belongs to another user. The log names it: HERE/.venv/install.log",
        ),
        (
            "ERROR: No matching distribution found for ai-edge-litert>=2.1",
            "a package has no version for Python 3.11 on aarch64. The log names it: HERE/.venv/install.log",
        ),
        ("something else", "see above, and the whole log in HERE/.venv/install.log."),
    ],
)
def test_a_failing_pip_shows_its_last_lines_and_what_they_mean(machine: Machine, pip_says: str, message: str) -> None:
    before = machine.fails(f"pip could not install the packages: {message}", FAKE_PIP_SAYS=pip_says)
    assert before.endswith(pip_says)


def test_a_pip_that_is_killed_wanted_memory(machine: Machine) -> None:
    machine.fails(
        "pip could not install the packages: it was killed, most likely for want of memory. Add swap (sudo apt-get "
        "install zram-tools) and run ./install.sh again.",
        FAKE_PIP_IS_KILLED="1",
    )


def test_a_failure_leaves_the_old_installation_and_no_rubbish(machine: Machine) -> None:
    machine.install("--with", "live")
    machine.calls()
    change_requirements(machine)
    machine.install(FAKE_PIP_SAYS="something")
    venv = machine.project / ".venv"
    assert (venv / "current").readlink() == Path("1") and (venv / "bin/edge").exists()
    assert {path.name for path in venv.iterdir()} >= {"1", "install.log", "install.log.1"}
    assert not (venv / "2").exists() and not (venv / "tmp").exists()
    assert machine.install().returncode == 0
    assert (venv / "current").readlink() == Path("2")


def test_a_new_installation_that_does_not_work_is_not_switched_to(machine: Machine) -> None:
    machine.install()
    change_requirements(machine)
    machine.fails(
        "The new installation does not work here, so the old one stays. What it says is at the end of "
        "HERE/.venv/install.log.",
        EDGE_STATUS="1",
    )
    assert (machine.project / ".venv/current").readlink() == Path("1")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(machine: Machine, flag: Path) -> subprocess.Popen[str]:
    """An installation in a session of its own, whose pip waits once it has written ``flag``."""
    environ = machine.environ | {"FAKE_PIP_WAITS_FOR": str(flag)}
    process = subprocess.Popen(
        [str(machine.project / "install.sh")],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(flag)
    return process


@pytest.mark.parametrize("is_update", [False, True])
def test_power_loss_in_the_middle_leaves_the_old_installation_and_the_next_run_mends_all(
    machine: Machine, tmp_path: Path, is_update: bool
) -> None:
    if is_update:
        machine.install()
        change_requirements(machine)
    process = start(machine, tmp_path / "flag")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    venv = machine.project / ".venv"
    assert (venv / "bin/edge").exists() == is_update
    assert (venv / "2").exists() == is_update, "the half-made one lies there"
    machine.calls()
    assert machine.install().returncode == 0
    assert machine.calls()[:3] == made(2 if is_update else 1)
    assert len(list(venv.glob("[0-9]*"))) == 1 and not (venv / "tmp").exists()


def test_a_stop_by_the_user_clears_up(machine: Machine, tmp_path: Path) -> None:
    process = start(machine, tmp_path / "flag")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert {path.name for path in (machine.project / ".venv").iterdir()} == {".mobilenet-edge", "install.log"}


def test_two_at_once_are_one_too_many(machine: Machine, tmp_path: Path) -> None:
    process = start(machine, tmp_path / "flag")
    machine.fails("Another install.sh is at work in HERE/.venv: wait until it is done.")
    machine.fails("Another install.sh is at work in HERE/.venv: wait until it is done.", "--uninstall")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert machine.install().returncode == 0


def test_a_disk_without_room_is_told_before_anything_is_made(machine: Machine) -> None:
    machine.command("df", "#!/bin/sh\necho head\necho /dev/root 2000000 1800000 200000 90% /\n")
    machine.fails("Only 204 MB are free for HERE/.venv: expected at least 500 MB. Remove what you no longer need.")
    assert not (machine.project / ".venv").exists()


def test_a_problem_found_by_the_self_test_is_a_failure(machine: Machine) -> None:
    machine.fails("The self-test found a problem: see above.", EDGE_STATUS="1")


def test_the_demo_measures_chooses_and_looks(machine: Machine) -> None:
    assert machine.install("--demo").returncode == 0
    assert machine.calls()[3:] == [
        "edge doctor",
        "edge profile --bundle demo",
        "edge select --bundle demo --fps 30",
        "camera-demo --bundle demo --fps 30 --headless",
    ]
    assert machine.install("--demo", DEMO_STATUS="3").returncode == 3


def test_tests_are_quiet_but_for_their_closing_line(machine: Machine) -> None:
    result = machine.install("--test", INDEX_ANSWERS="1")
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "3 passed in 0.01s"
    assert "..." not in result.stdout.splitlines()
    whole = made(extras=DEV, others=" --constraint scripts/constraints.txt")
    assert machine.calls() == [
        whole[0],
        f"{PIP} torch --index-url https://download.pytorch.org/whl/cpu --constraint scripts/constraints.txt",
        whole[1],
        whole[2],
        f"{PIP} --target HERE/.venv/tmp/tflite-runtime --only-binary :all: tflite-runtime==2.14.0 numpy<2",
        f"{PIP} --target HERE/.venv/tmp/timm --no-deps timm==1.0.31",
        "python -m pytest -n logical --maxprocesses 8 --dist worksteal",
    ]
    assert (machine.project / ".venv/current/tflite-runtime").is_dir()
    change_requirements(machine)
    assert machine.install("--test").returncode == 0
    assert not any("--target" in call for call in machine.calls()), "they outlive their environment"


def test_without_pytorchs_index_cuda_is_not_taken_unasked(machine: Machine) -> None:
    machine.fails(
        "https://download.pytorch.org/whl/cpu does not answer, and elsewhere torch comes with CUDA, some gigabytes, "
        "for which there is no GPU here. Try again later, or take that with --cuda.",
        "--with",
        "convert",
        TORCH_BRINGS="nvidia-cudnn-cu12",
    )
    assert not (machine.project / ".venv/bin").exists()
    assert machine.install("--with", "convert").returncode == 0, "a mirror that has the CPU build will do"


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


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_uninstalling_leaves_nothing(machine: Machine, sources: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = files_of(machine.project)
    assert machine.install("--with", "live", HOME=str(home)).returncode == 0
    for folder in (".local/state/mobilenet-edge/profiles", ".cache/mobilenet-edge/engines", ".cache/pip"):
        (home / folder).mkdir(parents=True)
    for folder in ("mobilenet_edge.egg-info", "build", "edge/__pycache__"):
        (machine.project / folder).mkdir()
    planned = machine.install("--uninstall", "--dry-run", HOME=str(home))
    assert (machine.project / ".venv/bin/edge").exists()
    done = machine.install("--uninstall", HOME=str(home))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", planned.stdout)
    assert files_of(machine.project) == before
    assert files_of(home) == {".local", ".local/state", ".cache", ".cache/pip"}
    machine.fails("There is nothing installed in HERE/.venv.", "--uninstall")


def test_uninstalling_keeps_fetched_weights_unless_asked(machine: Machine, tmp_path: Path) -> None:
    home = tmp_path / "home"
    weights = home / ".cache/mobilenet-edge/imagenet"
    for folder in (weights, weights.parent / "engines"):
        folder.mkdir(parents=True)
    machine.install(HOME=str(home))
    assert f"the weights that were fetched stay, unless --purge is given: {weights}\n" in (
        machine.install("--uninstall", HOME=str(home)).stdout
    )
    assert files_of(home) == {".cache", ".cache/mobilenet-edge", ".cache/mobilenet-edge/imagenet"}
    machine.install(HOME=str(home))
    machine.install("--uninstall", "--purge", HOME=str(home))
    assert files_of(home) == {".cache"}


def test_variables_that_lead_packages_elsewhere_do_not_count(machine: Machine, tmp_path: Path) -> None:
    command = machine.bin / "mktemp-probe"
    probe = "import os; print(*sorted(n for n in os.environ if n.startswith(('PIP_', 'PYTHON', 'VIRTUAL'))))"
    script = (
        (machine.project / "install.sh").read_text().replace('main "$@"', f'ignore_environment; python3 -c "{probe}"')
    )
    command.write_text(script)
    given = {
        name: str(tmp_path)
        for name in (
            "PYTHONPATH",
            "PYTHONUSERBASE",
            "VIRTUAL_ENV",
            "PIP_TARGET",
            "PIP_USER",
            "PIP_PREFIX",
            "PIP_INDEX_URL",
        )
    }
    done = subprocess.run(["/bin/sh", command], env=os.environ | given, capture_output=True, text=True, check=True)
    kept = {name for name in done.stdout.split() if name in given}
    assert kept == {"PIP_INDEX_URL"}


def test_uninstalling_keeps_what_is_not_ours_and_names_what_stays(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    mine = f"{tmp_path}/mine"
    machine.fails(f"{mine} was not made by this script: it stays.", "--uninstall", "--prefix", mine)
    machine.python(venv="no")
    machine.apt_get(brings={})
    machine.install()
    assert "what apt-get installed for it stays: python3-venv \n" in machine.install("--uninstall").stdout
