"""What becomes of a version that has just come to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.bundles.registry import Installed
from edge.errors import OutputError
from edge.fleet import watching
from edge.fleet.health import Gate
from edge.fleet.health_minute import HealthMinute
from edge.fleet.health_record import add_minute
from edge.fleet.state import FollowState
from edge.fleet.timestamps import timestamp
from edge.fleet.watching import Clocks, Outcome, decide, watch
from tests.edge.fleet.minutes import NEW, OLD, SWITCH, minute, minutes_after, minutes_before

BAD = "2" * 16


def state(**changes: Any) -> FollowState:
    """A board that switched from the old version to the new one."""
    values: dict[str, Any] = {
        "board_id": "b",
        "bundle": "birds",
        "installed": NEW,
        "previous": OLD,
        "phase": "watching",
    }
    return FollowState(**{**values, "since": timestamp(SWITCH), "gate": Gate(), **changes})


def decided(minutes: list[HealthMinute], after_min: float, uptime_min: float = 1e6, **changes: Any) -> Outcome:
    """The outcome some minutes after the switch."""
    clocks = Clocks(now=SWITCH + timedelta(minutes=after_min), uptime_s=60 * uptime_min, boot="a")
    return decide(state(**changes), minutes, clocks)


def test_a_version_that_fares_as_before_stays_after_the_window() -> None:
    assert decided([*minutes_before(), *minutes_after(29)], 30).action == "wait"
    assert decided([*minutes_before(), *minutes_after(30)], 31).action == "keep"


def test_one_that_is_worse_goes_as_soon_as_that_is_clear() -> None:
    outcome = decided([*minutes_before(), *minutes_after(6, late=1800)], 7)
    assert outcome.action == "roll_back"
    assert outcome.reasons[0].startswith("100.0% of answers were late")


def test_only_minutes_since_the_last_switch_count() -> None:
    """The version was in use before, and did well; and another one since, that was bad."""
    earlier = [minute(number, NEW) for number in range(-300, -200)]
    poor = [minute(number, BAD, late=1800, unknown=1800, confidence=0.1) for number in range(-200, -120)]
    record = [*earlier, *poor, *minutes_before(120)]
    bad = state().with_bad(BAD, "late", SWITCH).bad
    assert decided([*record, *minutes_after(10)], 10, bad=bad).action == "wait"
    assert decided([*record, *minutes_after(10, late=400)], 10, bad=bad).action == "roll_back"


def test_stale_minutes_of_the_same_version_are_not_taken_for_new_ones() -> None:
    stale = [minute(number, NEW) for number in range(-300, -100)]
    assert decided(stale, 10).action == "wait"


def test_minutes_of_other_bundles_are_others() -> None:
    other = minutes_after(60, bundle="demo", late=1800)
    assert decided([*minutes_before(), *minutes_after(30), *other], 31).action == "keep"


def test_a_refused_version_goes_at_once() -> None:
    refusing = minute(0, OLD, refused=f"{NEW}: its model.tflite is another one")
    outcome = decided([*minutes_before(), refusing], 1)
    assert outcome == Outcome(
        action="roll_back", reasons=(f"it could not be loaded: {NEW}: its model.tflite is another one",)
    )
    assert decided([*minutes_before(), refusing, minute(1, OLD)], 2).action == "wait", "not any more"
    assert decided([*minutes_before(), minute(0, OLD, refused=f"{BAD}: no")], 2).action == "wait", "another one"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        pytest.param([], "gave no answer with it", id="never came up"),
        pytest.param([minute(0, NEW, frames=0, seconds=0.0)], "gave no answer with it", id="died loading"),
        pytest.param([minute(n, OLD) for n in range(16)], f"still answers with version {OLD}", id="did not switch"),
    ],
)
def test_a_program_that_does_not_answer_with_it_in_time_is_its_fault(more: list[HealthMinute], what: str) -> None:
    record = [*minutes_before(), *more]
    assert decided(record, 14).action == "wait"
    outcome = decided(record, 16)
    assert outcome == Outcome(action="roll_back", reasons=(f"camera-demo {what} 15 minutes after the switch",))
    assert decided(record, 16, gate=Gate(answers_within_minutes=20)).action == "wait"
    late = decided([*minutes_before(), *(minute(n, OLD) for n in range(600))], 600)
    assert late.action == "roll_back", "the next step came hours later"


def test_a_program_that_crashes_while_it_loads_is_its_fault_at_once() -> None:
    starts = [minute(0, NEW, frames=0, seconds=0.0, restarts=1)] * 2
    assert decided([*minutes_before(), *starts], 1).action == "roll_back"


def test_a_new_board_whose_program_died_with_the_first_version() -> None:
    start = minute(0, NEW, frames=0, seconds=0.0)
    assert decided([start], 16, previous=None).action == "roll_back"


@pytest.mark.parametrize("action", ["keep", "roll_back"])
@pytest.mark.parametrize(
    "record",
    [
        pytest.param([], id="no record"),
        pytest.param(minutes_before(5, bundle="demo"), id="another bundle"),
        pytest.param([*minutes_before(5), minute(-1, OLD, stopped=True)], id="was stopped"),
        pytest.param([minute(-1000, OLD)], id="ended long ago"),
        pytest.param([*minutes_before(5), minute(-1, BAD, bundle="taught-birds")], id="something taught"),
    ],
)
def test_where_no_program_ran_the_gate_decides(record: list[HealthMinute], action: Any) -> None:
    gate = Gate(without_camera=action)
    assert decided(record, 14, gate=gate).action == "wait"
    assert decided(record, 16, gate=gate).action == action


def test_a_board_that_was_off_is_watched_on() -> None:
    record = [*minutes_before(), *minutes_after(10)]
    month_min = 60 * 24 * 30
    assert decided(record, month_min, uptime_min=5).action == "wait"
    back = [minute(month_min + number, NEW, boot="b") for number in range(20)]
    assert decided([*record, *back], month_min + 21, uptime_min=21).action == "keep"


def test_a_board_that_never_comes_back_to_answering_after_a_reboot() -> None:
    record = minutes_before(boot="before")
    assert decided(record, 500, uptime_min=14).action == "wait"
    assert decided(record, 500, uptime_min=16).action == "roll_back"
    month_old = [minute(-60 * 24 * 30, OLD, boot="before")]
    assert decided(month_old, 16).action == "roll_back", "power was lost, and it is on again"


def test_one_that_falls_silent_goes_unless_it_was_stopped() -> None:
    record = [*minutes_before(), *minutes_after(10)]
    assert decided(record, 24).action == "wait"
    assert decided(record, 26).reasons == ("camera-demo gave no sign of life for 16 minutes",)
    assert decided([*record, minute(10, stopped=True)], 26).action == "wait"
    assert decided([*record, minute(10, stopped=True)], 80).action == "keep"


def test_with_too_few_answers_it_stays_after_twice_the_window() -> None:
    record = [*minutes_before(frames=4), *minutes_after(59, frames=4)]
    assert decided(record, 59).action == "wait"
    assert decided([*record, minute(59, frames=4)], 60).action == "keep"


def test_a_camera_that_was_away_all_the_time_is_not_its_fault() -> None:
    away: dict[str, Any] = {"frames": 0, "source_up": 0.0}
    assert decided([*minutes_before(**away), *minutes_after(60, **away)], 60).action == "keep"


@pytest.mark.parametrize("year", [1970, 2040])
def test_a_wrong_clock_at_the_switch_loses_no_minutes(year: int) -> None:
    since = timestamp(SWITCH.replace(year=year))
    record = [*minutes_before(), *minutes_after(30)]
    assert decided(record, 31, uptime_min=31, since=since).action == "keep"
    assert decided(minutes_before(), 5, uptime_min=5, since=since).action == "wait"
    assert decided(minutes_before(), 16, uptime_min=16, since=since).action == "roll_back"


def test_without_a_comparison_no_minutes_before_are_needed() -> None:
    gate = Gate(before_hours=0)
    assert decided([*minutes_before(confidence=0.99), *minutes_after(30)], 31, gate=gate).action == "keep"
    assert decided(minutes_before(), 16, gate=gate).action == "roll_back"


def test_two_cameras_each_have_their_switch() -> None:
    record = [*minutes_before(camera="door"), *minutes_before(camera="yard")]
    record += [*minutes_after(30, camera="door"), *minutes_after(30, camera="yard", confidence=0.2)]
    assert decided(record, 31).reasons[0].startswith("yard: the mean confidence")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[HealthMinute]], None]:
    """Writes the service's record."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))

    def write(minutes: list[HealthMinute]) -> None:
        for one in minutes:
            add_minute(tmp_path / "state/mobilenet-edge/health.jsonl", one)

    return write


def step(tmp_path: Path, after_min: float = 31, **changes: Any) -> FollowState:
    now = SWITCH + timedelta(minutes=after_min)
    return watch(state(**changes), bundles=tmp_path / "bundles", key=None, backend="fake", now=now)


def test_a_step_keeps_what_is_good(tmp_path: Path, record: Callable[[list[HealthMinute]], None]) -> None:
    record([*minutes_before(20), *minutes_after(30)])
    found = step(tmp_path)
    assert (found.phase, found.installed, found.bad, found.gate) == ("idle", NEW, (), None)


def test_a_step_waits(tmp_path: Path, record: Callable[[list[HealthMinute]], None]) -> None:
    record([*minutes_before(20), *minutes_after(3)])
    found = step(tmp_path, 3)
    until = timestamp(SWITCH + timedelta(minutes=33))
    assert found == replace(state(), watching_until=until)
    assert step(tmp_path, 4, watching_until=until).watching_until == until


def test_a_step_goes_back_and_remembers_why(
    tmp_path: Path, record: Callable[[list[HealthMinute]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record([*minutes_before(20), *minutes_after(6, p95_ms=90.0)])
    asked: list[Any] = []

    def roll_back(name: str, **others: Any) -> Any:
        asked.append((name, others))
        return SimpleNamespace(installed=Installed(home=tmp_path, active=OLD, previous=NEW))

    monkeypatch.setattr(watching, "roll_back", roll_back)
    found = step(tmp_path, 6)
    assert asked == [("birds", {"key": None, "backend": "fake", "folder": tmp_path / "bundles"})]
    assert (found.phase, found.installed, found.previous) == ("rolled_back", OLD, NEW)
    assert [(one.version, one.was_in_use) for one in found.bad] == [(NEW, True)]
    assert found.error == found.bad[0].reason == "the p95 of mobilenet_v1_0.50_160 was 90.0 ms: 18.0 ms allowed"


def test_a_bad_version_with_none_before_it_stays_and_is_remembered(
    tmp_path: Path, record: Callable[[list[HealthMinute]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(minutes_after(6, late=1800))
    found = step(tmp_path, 6, previous=None)
    assert (found.phase, found.installed) == ("idle", NEW)
    assert found.bad_versions == {NEW}
    assert found.error is not None and "No bundle birds is installed" in found.error
    assert "It stays: " in found.bad[0].reason

    def full(name: str, **others: Any) -> Any:
        raise OutputError("no room")

    monkeypatch.setattr(watching, "roll_back", full)
    with pytest.raises(OutputError):
        step(tmp_path, 6)


def test_nothing_is_watched_where_nothing_is_installed(tmp_path: Path) -> None:
    assert step(tmp_path, installed=None).phase == "idle"
