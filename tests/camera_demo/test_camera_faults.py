"""What cameras do to people: unplugged, frozen, refused, busy, forbidden. In a virtual machine whose cameras do so.

``scripts/test-cameras`` starts the machine. Its ``/dev/video0`` is a test pattern that can be broken by command;
``/dev/video10`` shows what is written to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from camera_demo.sources.demo import DEMO_CLIP

ROOT = Path(__file__).resolve().parents[2]
CAMERA = "/dev/video0"
SCREEN = "/dev/video10"
"""A camera that shows what is written to it."""

pytestmark = [
    pytest.mark.skipif(shutil.which("cam-unplug") is None, reason="no machine with cameras: scripts/test-cameras"),
    pytest.mark.timeout(120),
]


@dataclass
class Run:
    """A ``camera-demo`` at work."""

    process: subprocess.Popen[str]
    answers: Path
    log: Path
    started_s: float = field(default_factory=time.monotonic)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def frames(self) -> int:
        return self.answers.read_text().count("\n") if self.answers.exists() else 0

    def last(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.answers.read_text().splitlines()[-1])
        return value

    def await_line(self, words: str, timeout_s: float, after: int = 0) -> dict[str, Any]:
        """The first log line with ``words`` among those after the first ``after``."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            for line in self.lines()[after:]:
                if words in line["message"]:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no line with '{words}' in {timeout_s} s: {self.log.read_text()}")

    def await_frames(self, more: int = 5, timeout_s: float = 10) -> float:
        """Wait for new answers; how long it took."""
        start_s, before = time.monotonic(), self.frames()
        while self.frames() < before + more:
            assert time.monotonic() - start_s < timeout_s, f"no frames: {self.log.read_text()}"
            time.sleep(0.02)
        return time.monotonic() - start_s

    def cpu_share(self, duration_s: float) -> float:
        """CPU time used during the next while, as a share of it."""
        watched = psutil.Process(self.process.pid)
        before = sum(watched.cpu_times()[:2])
        time.sleep(duration_s)
        return (sum(watched.cpu_times()[:2]) - before) / duration_s

    def end(self) -> float:
        """Ask it to end, with no complaint; how long it took."""
        start_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0, self.log.read_text()
        return time.monotonic() - start_s


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def run(source: str = CAMERA, *options: str, **others: Any) -> Run:
        answers, log = tmp_path / f"{len(runs)}.jsonl", tmp_path / f"{len(runs)}.log"
        command = [sys.executable, "-m", "camera_demo", source, f"json:{answers}", "--log-format", "json"]
        command += ["--variant", "0.25_128", "--threads", "1", *options]
        with log.open("w") as file:
            process = subprocess.Popen(command, stderr=file, text=True, cwd=ROOT, **others)
        runs.append(Run(process, answers, log))
        return runs[-1]

    yield run
    for each in runs:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
    repairs = ["cam-thaw", "cam-replug"] if Path(CAMERA).exists() else ["cam-unplug", "cam-replug", "cam-thaw"]
    for repair in repairs:
        subprocess.run([repair], check=False, capture_output=True)


def camera(command: str) -> None:
    subprocess.run([f"cam-{command}"], check=True, capture_output=True, timeout=20)


def note(name: str, **figures: float) -> None:
    """Print what was measured, for the documentation."""
    told = ", ".join(f"{key} {value:.2f}" for key, value in figures.items())
    print(f"\nMEASURED {name}: {told}")  # noqa: T201 - pytest -s shows it


def test_unplugged_and_plugged_in_again(start: Start) -> None:
    run = start()
    run.await_frames(timeout_s=30)
    start_s = time.monotonic()
    camera("unplug")
    lost = run.await_line("was unplugged", 5)
    noticed_s = time.monotonic() - start_s
    assert (lost["level"], lost["event"]) == ("warning", "source_lost")
    share = run.cpu_share(5)
    told = len(run.lines())
    assert share < 0.1, "it waits and does not spin"
    camera("replug")
    back_s = run.await_frames()
    run.await_line("is back after", 1)
    note("unplug", noticed_s=noticed_s, cpu_share=share, back_s=back_s)
    assert told <= 3, "it does not say the same again and again"
    assert noticed_s < 3 and back_s < 5
    assert run.end() < 3


def test_back_under_another_number(start: Start) -> None:
    run = start()
    run.await_frames(timeout_s=30)
    held = os.open(CAMERA, os.O_RDWR)
    try:
        camera("unplug")
        run.await_line("was unplugged", 5)
        camera("replug")
        assert not Path(CAMERA).exists(), "the old node is held, so the camera gets another"
        run.await_frames()
        assert run.await_line("is back after", 1)["message"].endswith(", as /dev/video1")
    finally:
        os.close(held)
    assert run.end() < 3


def test_frozen_and_thawed(start: Start) -> None:
    run = start()
    run.await_frames(timeout_s=30)
    start_s = time.monotonic()
    camera("freeze")
    run.await_line("is frozen", 8)
    noticed_s = time.monotonic() - start_s
    share = run.cpu_share(6)
    camera("thaw")
    back_s = run.await_frames(timeout_s=15)
    note("freeze", noticed_s=noticed_s, cpu_share=share, back_s=back_s)
    assert share < 0.1
    assert noticed_s < 5 and back_s < 10
    assert run.end() < 3


@pytest.mark.parametrize("fault", ["break", "drop"])
def test_refused_until_opened_again(start: Start, fault: str) -> None:
    run = start()
    run.await_frames(timeout_s=30)
    start_s = time.monotonic()
    camera(fault)
    run.await_line("refuses to go on", 5)
    noticed_s = time.monotonic() - start_s
    back_s = run.await_frames()
    note(fault, noticed_s=noticed_s, back_s=back_s)
    assert noticed_s + back_s < 5
    assert run.end() < 3


@pytest.mark.parametrize("fault", ["unplug", "freeze"])
def test_it_ends_at_once_while_the_camera_is_away(start: Start, fault: str) -> None:
    run = start()
    run.await_frames(timeout_s=30)
    camera(fault)
    time.sleep(4)
    ended_s = run.end()
    note(f"end during {fault}", ended_s=ended_s)
    assert ended_s < 5


def test_busy_is_told_or_waited_for(start: Start) -> None:
    first = start()
    first.await_frames(timeout_s=30)
    refused = start()
    assert refused.process.wait(30) == 1
    refused.await_line(f"Camera {CAMERA} is busy: another program uses it.", 1)
    waiting = start(CAMERA, "--wait")
    waiting.await_line("is busy", 20)
    time.sleep(2)
    assert first.end() < 3
    back_s = waiting.await_frames(timeout_s=15)
    note("busy", back_s=back_s)
    assert waiting.end() < 3


def test_absent_is_told_or_waited_for(start: Start) -> None:
    camera("unplug")
    refused = start()
    assert refused.process.wait(30) == 1
    refused.await_line(f"There is no camera {CAMERA}", 1)
    waiting = start(CAMERA, "--wait")
    waiting.await_line("There is no camera", 20)
    camera("replug")
    waiting.await_frames(timeout_s=15)
    assert waiting.end() < 3


def test_forbidden_is_told_with_its_remedy(start: Start, tmp_path: Path) -> None:
    Path("/root").chmod(0o755)  # of the machine's throw-away file system: where this Python lies
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777)
    run = start(user="nobody", group="nogroup", extra_groups=[])
    assert run.process.wait(30) == 1, run.log.read_text()
    line = run.await_line("permission denied", 1)
    assert "sudo usermod -aG video" in line["message"]


def test_what_the_driver_gives_instead_is_told(start: Start) -> None:
    run = start(CAMERA, "--input-width", "320", "--input-height", "240", "--input-rate", "30")
    run.await_frames(timeout_s=30)
    assert "320x180 instead of 320x240" in run.await_line(f"Camera {CAMERA} gives", 1)["message"]
    assert run.end() < 3


@contextlib.contextmanager
def showing(picture: Any, rate_hz: float = 20) -> Iterator[None]:
    """Show a picture, 640x480, on the screen camera as MJPG while the block runs."""
    node = os.open(SCREEN, os.O_RDWR)
    form = bytearray(208)  # struct v4l2_format of linux/videodev2.h, for VIDIOC_S_FMT
    struct.pack_into("=I4xIIIIII", form, 0, 2, 640, 480, cv2.VideoWriter.fourcc(*"MJPG"), 1, 0, 640 * 480 * 2)
    fcntl.ioctl(node, 0xC0D05605, form)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(1 / rate_hz):
            os.write(node, data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        os.close(node)


def test_shown_cards_are_recognized(start: Start) -> None:
    clip = cv2.VideoCapture(str(ROOT / "camera_demo" / DEMO_CLIP))
    truth = json.loads((ROOT / "camera_demo/clips/digits.json").read_text())["segments"]
    seen = []
    for segment in [s for s in truth if s["label"] != "no card"][:4]:
        clip.set(cv2.CAP_PROP_POS_FRAMES, (segment["first"] + segment["last"]) // 2)
        frame = clip.read()[1]
        with showing(cv2.resize(frame, (640, 480))):
            run = start(SCREEN, "--input-codec", "MJPG")
            run.await_frames(15, timeout_s=30)
            answer = run.last()
            assert run.end() < 3
            assert not [line for line in run.lines() if " gives " in line["message"]], "MJPG as asked for"
        seen.append((answer["labels"][0]["label"], segment["label"]))
        note(f"{segment['label']}", capture_to_answer_ms=answer["capture_to_answer_ms"], fps=answer["fps"])
    assert len(seen) == 4
    assert all(label == shown for label, shown in seen), seen
