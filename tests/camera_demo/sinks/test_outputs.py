"""An output that fails ends alone: the run goes on, and says so in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from camera_demo.frames import Result
from camera_demo.session import run
from camera_demo.settings import Settings
from camera_demo.sinks import Outputs, WatcherLeft
from camera_demo.sinks.terminal import TerminalSink
from camera_demo.stop import Stop
from edge.errors import OutputError

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


class Failing:
    """A sink that takes some answers and then fails."""

    wants_picture = False

    def __init__(self, takes: int, error: Exception | None = None) -> None:
        self._takes, self._error, self.seen, self.is_closed = takes, error or OutputError("Disk full."), 0, False

    def show(self, result: Result) -> None:
        if self.seen >= self._takes:
            raise self._error
        self.seen += 1

    def on_event(self, event: Any) -> None:
        raise self._error

    def close(self) -> None:
        self.is_closed = True


def test_one_that_fails_ends_alone_and_is_said_once_and_in_the_end(
    make_result: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Failing(2), Failing(100)
    outputs = Outputs([bad, good], ["a.jsonl", "b.jsonl"])
    for number in range(10):
        outputs.show(make_result(number))
    assert (bad.seen, good.seen, bad.is_closed, good.is_closed) == (2, 10, True, False)
    assert caplog.messages == ["a.jsonl ended: Disk full. The other outputs go on."]
    with pytest.raises(OutputError, match="Disk full"):
        outputs.close()
    outputs.close()


def test_the_last_one_ends_the_run(make_result: Callable[..., Result]) -> None:
    outputs = Outputs([Failing(0), Failing(1)])
    outputs.show(make_result(1))
    with pytest.raises(OutputError):
        outputs.show(make_result(2))


def test_an_event_may_be_what_fails(caplog: pytest.LogCaptureFixture) -> None:
    good = Failing(1)
    good.on_event = lambda event: None  # type: ignore[method-assign]
    Outputs([Failing(1), good, good]).on_event(None)  # type: ignore[arg-type]
    assert "The other outputs go on" in caplog.text


def test_the_others_have_an_answer_before_a_watcher_who_left_ends_the_run(make_result: Callable[..., Result]) -> None:
    good = Failing(100)
    with pytest.raises(WatcherLeft):
        Outputs([Failing(0, WatcherLeft()), good]).show(make_result(1))
    assert good.seen == 1


@needs_full
def test_a_full_disk_leaves_the_other_file_whole(tmp_path: Path, bundle_folder: Path) -> None:
    outputs = ("json:/dev/full", f"json:{tmp_path / 'good.jsonl'}")
    usual = {"bundle": str(bundle_folder), "variant": "0.25_128", "backend": "fake", "threads": 1}
    said: list[str] = []
    with pytest.raises(OutputError, match="no space left on device"):
        run(
            Settings(input="synthetic:64x64@100", max_frames=20, outputs=outputs, **usual),  # type: ignore[arg-type]
            Stop(),
            announce=said.append,
        )
    assert len([json.loads(line) for line in (tmp_path / "good.jsonl").read_text().splitlines()]) == 20
    assert any(line.startswith("20 frames in ") for line in said)


@needs_full
def test_the_line_of_answers_may_fail_too(make_result: Callable[..., Result]) -> None:
    stream = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    sink = TerminalSink(stream)
    with pytest.raises(OutputError, match="Cannot write the line of answers: no space left on device"):
        sink.show(make_result(1))
    sink.close()
    with pytest.raises(OSError):
        stream.close()
