"""A process that is asked to end twice ends at once and leaves nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys, time
from pathlib import Path
import typer
from edge.program import run
from edge.files import new_file, new_folder
def work() -> None:
    with new_file(Path("file.bin")) as file, new_folder(Path("folder")) as folder:
        file.write_bytes(b"half")
        (folder / "part").write_text("half")
        try:
            print("writing", flush=True)
            time.sleep(60)
        finally:
            print("tidying up", flush=True)
            time.sleep(60)
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(work)
sys.argv = ["x"]
run(lambda: app, "x")
"""
CAMERA = """
import sys, time
from pathlib import Path
from camera_demo.sinks.video import VideoSink
from camera_demo.stop import stop_on_signals
with stop_on_signals() as stop:
    stop.attend()
    sink = VideoSink(Path("out.mp4"), 25.0)
    print("writing", flush=True)
    while not stop.is_requested:
        time.sleep(0.01)
    print("tidying up", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [COMMAND, CAMERA])
def test_asked_twice_it_ends_at_once_and_leaves_nothing(tmp_path: Path, program: str, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        for line in ("writing\n", "tidying up\n"):
            assert child.stdout.readline() == line
            assert len(list(tmp_path.iterdir())) >= 1
            child.send_signal(number)
        assert child.wait(20) == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_holds_the_main_thread_does_not_keep_the_process(tmp_path: Path) -> None:
    stuck = CAMERA.replace('    print("writing"', '    import ctypes\n    print("writing"').replace(
        "    while not", "    ctypes.CDLL(None).sleep(60)\n    while not"
    )
    with subprocess.Popen(
        [sys.executable, "-c", stuck],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "writing\n"
        while child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert child.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
