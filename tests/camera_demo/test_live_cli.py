import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(bundle_folder: Path) -> Iterator[Start]:
    """Starts ``python -m camera_demo`` on the grey bundle."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        pinned = ("--bundle", str(bundle_folder), "--variant", "0.25_128", "--backend", "fake", "--threads", "1")
        command = [sys.executable, "-m", "camera_demo", *arguments, *pinned]
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon(start: Start, number: signal.Signals) -> None:
    process = start("synthetic:", "json:-")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frame"] >= 0
    process.send_signal(number)
    rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert all(json.loads(line)["variant"] == "mobilenet_v1_0.25_128" for line in rest.splitlines())
    assert " frame" in errors.splitlines()[0]
    assert "Traceback" not in errors


def test_a_signal_ends_it_while_browsers_watch(start: Start) -> None:
    process = start("synthetic:", "http://127.0.0.1:0")
    assert process.stderr is not None
    address = process.stderr.readline().split()[-1]
    with httpx.Client(trust_env=False, timeout=5) as browser, browser.stream("GET", f"{address}/stream.mjpg") as answer:
        assert next(answer.iter_raw()).startswith(b"--frame")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_reader_that_leaves_ends_it_well(start: Start) -> None:
    process = start("synthetic:", "json:-")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(10) == 0
    assert "Traceback" not in process.stderr.read()


def test_a_log_line_on_stdout_into_a_closed_pipe_ends_well(start: Start) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        process = start("synthetic:", stdout=pipe)
        assert process.wait(10) == 0
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_were_closed_before_the_start_stop_nothing(
    tmp_path: Path, bundle_folder: Path, closed: tuple[int, ...]
) -> None:
    command = [sys.executable, "-m", "camera_demo", "demo", "terminal", f"json:{tmp_path}/a.jsonl", "--max-frames", "3"]
    command += ["--bundle", str(bundle_folder), "--variant", "0.25_128", "--backend", "fake", "--threads", "1"]
    shell = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(["sh", "-c", f'exec "$@" {shell}', "sh", *command], capture_output=True, timeout=60, cwd=ROOT)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3


def test_what_was_asked_for_on_a_closed_stdout_is_an_error(bundle_folder: Path) -> None:
    command = [sys.executable, "-m", "camera_demo", "demo", "json:-", "--bundle", str(bundle_folder)]
    command += ["--backend", "fake", "--variant", "0.25_128"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "camera-demo: Cannot write standard output: bad file descriptor."


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["csi://0"], "camera-demo: csi://0 is a ribbon camera of a Raspberry Pi or a Jetson, and this is "),
        (["webcam://0"], "camera-demo: unknown input 'webcam://0': expected a camera"),
        (["rtsp://127.0.0.1:9/x"], "camera-demo: rtsp://127.0.0.1:9/*** cannot be reached: connection refused."),
        (["nowhere.mp4"], "camera-demo: There is no file or folder 'nowhere.mp4': expected a camera"),
        (["/dev/video99"], "camera-demo: There is no camera /dev/video99: "),
        (
            ["synthetic:", "/nowhere/o.mp4"],
            "camera-demo: Cannot write /nowhere/o.mp4: there is no folder /nowhere. Make",
        ),
        (["synthetic:", "ftp://h/t"], "camera-demo: unknown output 'ftp://h/***': expected term"),
        (["synthetic:", "json:/dev/full"], "camera-demo: Cannot write /dev/full: no space left on device."),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(start: Start, arguments: list[str], error: str) -> None:
    process = start(*arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith(error)
    assert "Traceback" not in errors


def test_a_damaged_clip_is_one_line_without_opencv_s_own_complaints(
    start: Start, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(make_clip([1] * 30).read_bytes()[:1000])
    process = start(str(cut))
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        f"camera-demo: {cut} cannot be opened as a video: it is damaged, cut short or of an unknown format.\n"
    )


def test_debug_shows_the_traceback(start: Start) -> None:
    process = start("webcam://0", "--debug")
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "Traceback" in errors


@pytest.mark.parametrize("option", ["--top-k", "--topk"])
def test_the_number_of_classes_can_be_written_either_way(start: Start, option: str) -> None:
    process = start("synthetic:64x64", "json:-", "--max-frames", "1", option, "2")
    output, _ = process.communicate(timeout=20)
    assert len(json.loads(output)["labels"]) == 2


def test_help_names_every_option_and_an_example_without_importing_opencv() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from camera_demo.cli import app; "
        "result = CliRunner().invoke(app, ['--help'], env={'COLUMNS': '200'}); print(result.output); "
        "sys.exit('cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    for word in (
        "--bundle",
        "--fps",
        "--budget-ms",
        "--variant",
        "--threads",
        "--max-frames",
        "--pace",
        "out.mp4 json:-",
    ):
        assert word in done.stdout


def test_opencv_s_environment_is_set_unless_the_user_did() -> None:
    code = (
        "import os; from camera_demo.opencv import prepare_opencv; "
        "prepare_opencv(is_silent=True); print(os.environ['OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT'], "
        "os.environ['OPENCV_LOG_LEVEL'])"
    )
    for given, expected in (({}, "1 SILENT"), ({"OPENCV_LOG_LEVEL": "INFO"}, "1 INFO")):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")} | given
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60
        )
        assert done.stdout.strip() == expected
