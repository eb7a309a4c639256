import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from camera_demo.errors import SinkError
from camera_demo.frames import CapturedFrame, Result
from camera_demo.run_state import RunState
from camera_demo.sinks import SinkContext, WatcherLeft
from camera_demo.sinks.json_lines import JsonLinesSink
from camera_demo.sinks.json_lines import open_sink as open_json
from camera_demo.sinks.terminal import TerminalSink, describe, fitted
from camera_demo.source_status import SourceStatus
from edge.errors import OutputError

CONTEXT = SinkContext(rate_hz=None, text=io.StringIO(), announce=print, run_state=RunState(SourceStatus("feed")))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_log_gets_a_line_a_second_and_the_last_answer(make_result: Callable[..., Result]) -> None:
    stream, clock = io.StringIO(), Clock()
    sink = TerminalSink(stream, clock=clock)
    for index in range(30):
        clock.now_s = index / 10
        sink.show(make_result(index))
    sink.close()
    sink.close()
    assert [line.split("frame ")[1] for line in stream.getvalue().splitlines()] == [
        f"{index}, 2 dropped" for index in (0, 10, 20, 29)
    ]


def test_a_terminal_s_line_is_kept_up_to_date(
    make_result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream, clock = Terminal(), Clock()
    sink = TerminalSink(stream, clock=clock)
    for index in range(5):
        clock.now_s = index * 0.05
        sink.show(make_result(index))
    sink.close()
    lines = stream.getvalue().split("\r\x1b[K")
    assert lines[0] == ""
    assert len(lines) == 4
    assert lines[1] == "three 97% | 7.5 ms | 30.0 fps | mobilen"
    assert stream.getvalue().endswith("\n")


def test_a_line_says_what_is_seen_and_how_fast(
    make_result: Callable[..., Result], make_frame: Callable[..., CapturedFrame]
) -> None:
    end = "7.5 ms | 30.0 fps | mobilenet_v1_0.25_128 fake"
    assert describe(make_result(4)) == f"three 97% | {end} | frame 4, 2 dropped"
    assert describe(make_result(guesses=(), dropped=0)) == f"not sure | {end} | frame 0"
    assert describe(make_result(dropped=0, frame=make_frame(file="a.png"))) == f"three 97% | {end} | a.png"
    assert describe(make_result(label="a\x1b[2Jb\n")).startswith("a[2Jb 97%")


def test_letters_a_terminal_lacks_do_no_harm(make_result: Callable[..., Result]) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    TerminalSink(stream).show(make_result(label="数字"))
    assert raw.getvalue().startswith(b"?? 97%")


def broken_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_a_terminal_line_into_a_closed_pipe_ends_the_watching(make_result: Callable[..., Result]) -> None:
    class Leaving(io.StringIO):
        encoding = "utf-8"

        def flush(self) -> None:
            raise BrokenPipeError

    sink = TerminalSink(Leaving())
    with pytest.raises(WatcherLeft):
        sink.show(make_result())
    sink.close()


def test_json_lines_are_written_at_once(tmp_path: Path, make_result: Callable[..., Result]) -> None:
    path = tmp_path / "out.jsonl"
    sink = open_json(str(path), CONTEXT)
    for index in range(3):
        sink.show(make_result(index, label="größe\n"))
        assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == list(range(index + 1))
    sink.close()
    assert json.loads(path.read_text().splitlines()[0])["labels"][0]["label"] == "größe\n"


def test_json_into_a_closed_pipe_ends_the_watching(make_result: Callable[..., Result]) -> None:
    sink = JsonLinesSink(io.FileIO(broken_pipe(), "w"), "standard output")
    with pytest.raises(WatcherLeft):
        sink.show(make_result())
    sink.close()


def test_json_on_a_full_disk_is_an_error(make_result: Callable[..., Result]) -> None:
    sink = open_json("/dev/full", CONTEXT)
    with pytest.raises(OutputError) as raised:
        sink.show(make_result())
    sink.close()
    assert str(raised.value) == "Cannot write /dev/full: no space left on device."


class FillingDisk(io.FileIO):
    """A file that takes bytes up to the 500th, in pieces of at most 200."""

    def write(self, data: object) -> int:
        room = min(200, 500 - self.tell())
        if room <= 0:
            raise OSError(28, "No space left on device")
        return super().write(bytes(memoryview(data))[:room])  # type: ignore[arg-type]


def test_a_disk_that_fills_up_keeps_whole_lines(tmp_path: Path, make_result: Callable[..., Result]) -> None:
    sink = JsonLinesSink(FillingDisk(tmp_path / "out.jsonl", "w"), "out.jsonl")
    sink.show(make_result(1))
    with pytest.raises(OutputError, match=r"Cannot write out\.jsonl: no space left on device\."):
        sink.show(make_result(2))
    sink.close()
    assert [json.loads(line)["frame"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [1]


def test_a_disk_that_fills_up_keeps_what_the_file_held_before(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    path, older = tmp_path / "out.jsonl", "x" * 450 + "\n"
    path.write_text(older)
    sink = JsonLinesSink(FillingDisk(path, "a"), "out.jsonl")  # as standard output is after >>
    with pytest.raises(OutputError):
        sink.show(make_result(1))
    sink.close()
    assert path.read_text() == older


def test_json_needs_a_place_that_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as nameless:
        open_json("", CONTEXT)
    assert str(nameless.value) == "json: names no file: expected json:- for standard output, or json:FILE."
    path = tmp_path / "nowhere" / "out.jsonl"
    with pytest.raises(OutputError) as raised:
        open_json(str(path), CONTEXT)
    assert str(raised.value) == (
        f"Cannot write {path}: no such file or directory. Choose a folder that exists and is yours."
    )


@pytest.mark.parametrize(
    ("line", "columns", "shown"),
    [("abcdef", 4, "abcd"), ("カードなし", 5, "カー"), ("e\u0301e\u0301x", 2, "e\u0301e\u0301"), ("ab", 9, "ab")],
)
def test_a_line_is_cut_by_the_columns_of_the_terminal(line: str, columns: int, shown: str) -> None:
    assert fitted(line, columns) == shown
