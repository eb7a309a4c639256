"""A line a minute: what is in it, and that no disk, clock or thread stops the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from camera_demo import health_recorder
from camera_demo.frames import Result
from camera_demo.health_recorder import HealthRecorder
from camera_demo.source_status import SourceStatus
from edge.board.health import Health
from edge.bundles.bundle import Bundle
from edge.fleet.health_minute import MOST_LABELS, OTHER, HealthMinute, VariantMinute
from edge.fleet.health_record import read_minutes
from edge.inference.prediction import Guess, Prediction
from tests.edge.conftest import make_bundle, make_profile

VARIANT = "mobilenet_v1_0.25_128"
Make = Callable[..., Result]


class Board:
    """A recorder whose clock stands still until it is told."""

    def __init__(self, folder: Path, source: SourceStatus) -> None:
        self.now_s, self.path, self.source = 1000.0, folder / "state" / "health.jsonl", source
        boot = folder / "proc/sys/kernel/random/boot_id"
        boot.parent.mkdir(parents=True, exist_ok=True)
        if not boot.exists():
            boot.write_text("11112222-3333\n")
        self.boot, self.root = boot, folder

    def start(self, bundle: Bundle) -> HealthRecorder:
        recorder = HealthRecorder(
            self.path,
            "door",
            self.source,
            clock=lambda: self.now_s,
            wall_clock=lambda: 1.7e9 + self.now_s,
            root=self.root,
        )
        recorder.begin(bundle)
        return recorder

    def pass_s(self, recorder: HealthRecorder, seconds: float, health: Health = Health()) -> None:
        for _ in range(round(seconds / 2)):
            self.now_s += 2
            recorder.on_health(health)

    @property
    def minutes(self) -> list[HealthMinute]:
        return read_minutes([self.path])


@pytest.fixture
def board(tmp_path: Path, source_status: SourceStatus) -> Board:
    return Board(tmp_path, source_status)


@pytest.fixture
def bundle() -> Bundle:
    return replace(make_bundle(), version="a" * 16)


def answer(make_result: Make, total_ms: float = 6.0, **changes: object) -> Result:
    guesses = (Guess(3, "three", 0.5),)
    return make_result(prediction=Prediction(guesses, 0.0, total_ms, 0.0), **changes)


def test_a_minute_holds_what_was_answered(board: Board, bundle: Bundle, make_result: Make) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, make_profile({"0.25_128": 8.0}))
    board.source.found("feed")
    for number in range(100):
        recorder.add(answer(make_result, float(number), is_unknown=number < 20, budget_ms=89.5))
    recorder.add(answer(make_result, 0.0, is_kept=True))
    board.pass_s(recorder, 30, Health(temperature_c=60.0, load_percent=10.0))
    board.source.lost("feed", "unplugged")
    board.pass_s(recorder, 30, Health(temperature_c=70.0, load_percent=30.0, throttle_bits=0x4))
    start, found = board.minutes
    assert (start.seconds, start.frames, start.version) == (0.0, 0, "a" * 16)
    assert (found.seconds, found.camera, found.bundle, found.boot) == (60.0, "door", "tiny", "11112222")
    assert (found.frames, found.late, found.unknown, found.confidence) == (101, 10, 20, 0.5)
    p95_ms = float(np.percentile(range(100), 95))
    assert found.variants == {VARIANT: VariantMinute(frames=100, p95_ms=round(p95_ms, 3))}
    assert found.profile_p95_ms == {VARIANT: 8.0}
    assert found.labels == {"three": 81, "unknown": 20}
    assert (found.source_up, found.hot, found.temperature_c, found.load_percent) == (0.5, True, 70.0, 20.0)


def test_minutes_follow_each_other_and_the_profile_comes_once_an_hour(
    board: Board, bundle: Bundle, make_result: Make
) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, make_profile({"0.25_128": 8.0}))
    for _ in range(62):
        recorder.add(answer(make_result))
        board.pass_s(recorder, 60)
    found = board.minutes[1:]
    assert [one.frames for one in found] == [1] * 62
    assert [number for number, one in enumerate(found) if one.profile_p95_ms] == [0, 60]
    assert found[1].ended_at_s - found[0].ended_at_s == 60


def test_a_switch_begins_a_minute_of_its_own(board: Board, bundle: Bundle, make_result: Make) -> None:
    recorder, other = board.start(bundle), replace(bundle, version="b" * 16)
    recorder.uses(bundle, None)
    recorder.add(answer(make_result))
    board.pass_s(recorder, 20)
    recorder.uses(other, None)
    for _ in range(2):
        recorder.add(answer(make_result))
    board.pass_s(recorder, 10)
    recorder.close()
    found = [(one.version[0], one.frames, one.seconds, one.stopped) for one in board.minutes]
    assert found == [("a", 0, 0.0, False), ("a", 1, 20.0, False), ("b", 2, 10.0, True)]


def test_labels_are_bounded(board: Board, bundle: Bundle, make_result: Make) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, None)
    for number in range(100):
        for _ in range(2 if number < MOST_LABELS else 1):
            guess = Guess(number, f"label {number}", 0.9)
            recorder.add(make_result(guesses=(guess,)))
    recorder.close()
    labels = board.minutes[-1].labels
    assert len(labels) == MOST_LABELS + 1
    assert labels[OTHER] == 100 - MOST_LABELS and sum(labels.values()) == board.minutes[-1].frames


@pytest.mark.parametrize(
    ("is_closed", "error", "boot", "restarts"),
    [
        pytest.param(False, None, "11112222-3333", 1, id="killed"),
        pytest.param(True, None, "11112222-3333", 0, id="stopped"),
        pytest.param(True, KeyboardInterrupt, "11112222-3333", 0, id="interrupted"),
        pytest.param(True, RuntimeError, "11112222-3333", 1, id="failed"),
        pytest.param(False, None, "99999999-3333", 0, id="power lost"),
    ],
)
def test_a_restart_is_what_nobody_asked_for(
    board: Board,
    bundle: Bundle,
    is_closed: bool,
    error: type[BaseException] | None,
    boot: str,
    restarts: int,
) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, None)
    board.pass_s(recorder, 60)
    if is_closed:
        recorder.__exit__(error, None, None)
    board.boot.write_text(boot)
    board.start(bundle)
    assert [one.restarts for one in board.minutes[:-1]] == [0] * (len(board.minutes) - 1)
    assert board.minutes[-1].restarts == restarts


def test_a_program_that_dies_while_it_loads_leaves_a_line_each_time(board: Board, bundle: Bundle) -> None:
    for _ in range(3):
        board.start(bundle)
    assert [one.restarts for one in board.minutes] == [0, 1, 1]


def test_one_that_is_asked_to_end_while_it_loads_did_not_die(board: Board, bundle: Bundle) -> None:
    board.start(bundle).__exit__(KeyboardInterrupt, None, None)
    board.start(bundle)
    assert [(one.restarts, one.stopped) for one in board.minutes] == [(0, False), (0, True), (0, False)]


def test_half_a_last_line_is_passed_over(board: Board, bundle: Bundle) -> None:
    board.start(bundle)
    with board.path.open("a") as file:
        file.write('{"schema_version":1,"ended":"20')
    board.start(bundle)
    assert [one.restarts for one in board.minutes] == [0, 1]


def test_what_a_full_disk_did_not_take_is_written_later(
    board: Board, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, None)

    def full(*args: object, **others: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(health_recorder, "add_minute", full)
    board.pass_s(recorder, 180)
    assert len(board.minutes) == 1
    assert caplog.text.count("The health record is not written (") == 1
    monkeypatch.undo()
    board.pass_s(recorder, 2)
    assert len(board.minutes) == 4


def test_a_place_that_cannot_be_written_stops_nothing(board: Board, bundle: Bundle, make_result: Make) -> None:
    board.path.parent.parent.joinpath("state").write_text("a file")
    recorder = board.start(bundle)
    recorder.uses(bundle, None)
    for _ in range(130):
        recorder.add(answer(make_result))
        board.pass_s(recorder, 60)
    recorder.close()
    assert board.minutes == []


def test_numbers_of_a_broken_sensor_leave_out_a_minute(
    board: Board, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, None)
    board.pass_s(recorder, 60, Health(temperature_c=float("nan"), load_percent=-1.0))
    assert "A minute of the health record is left out: temperature_c is not a number." in caplog.text
    board.pass_s(recorder, 60, Health(temperature_c=50.0, load_percent=-1.0))
    assert [(one.frames, one.load_percent) for one in board.minutes] == [(0, None), (0, 0.0)]


def test_numbers_of_a_broken_model_are_counted_as_no_confidence(
    board: Board, bundle: Bundle, make_result: Make
) -> None:
    recorder = board.start(bundle)
    recorder.uses(bundle, None)
    guess = Guess(0, "zero", float("nan"))
    recorder.add(make_result(prediction=Prediction((guess,), 0.0, 1.0, 0.0), guesses=(guess,)))
    recorder.close()
    assert board.minutes[-1].confidence == 0.0
