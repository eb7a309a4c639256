"""The file of health minutes: whole lines, the newest ones, whatever happens to disk, process and clock."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.board.health import Health
from edge.bundles import registry
from edge.fleet import health_record
from edge.fleet.health_minute import HealthMinute, VariantMinute, is_hot, parse_minute
from edge.fleet.health_record import add_minute, read_minutes, record_files
from tests.edge.fleet.minutes import minute

KEYS = [one.name for one in fields(HealthMinute)] + ["p95_ms"]
JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2026-03-01T12:00:00Z")


def _line(values: object) -> bytes:
    whole = json.loads(minute().to_line())
    return json.dumps({**whole, **values} if isinstance(values, dict) else values).encode()


FULL = minute(
    camera="door",
    labels={"gull": 1000, "other": 800},
    profile_p95_ms={"mobilenet_v1_1.00_224": 25.5},
    restarts=1,
    hot=True,
    temperature_c=81.5,
    load_percent=12.0,
    refused="abc: no",
    stopped=True,
)


@pytest.mark.parametrize("one", [FULL, minute(), minute(frames=0, seconds=0.0), minute(camera="Tür 1\n\x00")])
def test_a_minute_is_read_as_it_was_written(tmp_path: Path, one: HealthMinute) -> None:
    add_minute(tmp_path / "made" / "health.jsonl", one)
    assert read_minutes([tmp_path / "made" / "health.jsonl"]) == [one]
    assert len(one.to_line()) < 1000


def test_half_lines_and_strange_ones_are_skipped_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    newer = json.dumps({**json.loads(minute().to_line()), "schema_version": 2})
    more = json.dumps({**json.loads(minute(2).to_line()), "added_later": 1})
    path.write_bytes(f"{minute().to_line()}{newer}\n{more}\n\0\0\0\n[]\n{{}}\n{minute(3).to_line()[:50]}".encode())
    add_minute(path, minute(4))
    assert read_minutes([path]) == [minute(), minute(2), minute(4)]


@pytest.mark.parametrize(
    "values",
    [
        {"seconds": -1},
        {"frames": -5},
        {"late": 10**9},
        {"confidence": 2.0},
        {"source_up": 1.1},
        {"ended": "yesterday"},
        {"ended": "2026-03-01T12:00:00"},
        {"variants": {"x": {"frames": 10**9, "p95_ms": 1}}},
        {"seconds": float("nan")},
        {"frames": "5"},
        {"seconds": int("9" * 400)},
    ],
)
def test_impossible_minutes_are_not_minutes(values: dict[str, object]) -> None:
    line = json.dumps({**json.loads(minute().to_line()), **values})
    assert parse_minute(line.encode()) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.recursive(JSON, lambda one: st.dictionaries(st.sampled_from(KEYS), one)).map(_line))
def test_anything_in_a_record_is_a_minute_or_passed_over(line: bytes) -> None:
    found = parse_minute(line)
    assert found is None or parse_minute(found.to_line().encode()) == found


def test_nothing_but_plain_files_is_read(tmp_path: Path) -> None:
    fifo, link, folder = tmp_path / "fifo", tmp_path / "link", tmp_path / "folder"
    os.mkfifo(fifo)
    add_minute(tmp_path / "real", minute())
    link.symlink_to(tmp_path / "real")
    folder.mkdir()
    assert read_minutes([fifo, link, folder, tmp_path / "none"]) == []
    with pytest.raises(OSError, match="symbolic"):
        add_minute(link, minute())


def test_48_hours_of_each_camera_are_kept_whatever_the_clock_was(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    old = [minute(seconds=3600.0, camera="door", ended=f"19{70 + n}-01-01T00:00:00Z") for n in range(30)]
    door = [minute(seconds=3600.0, camera="door", ended="2040-01-01T00:00:00Z") for _ in range(47)]
    yard = [minute(n, seconds=3600.0, camera="yard") for n in range(48)]
    path.write_text("".join(one.to_line() for one in [*old, *door, *yard]))
    add_minute(path, minute(99, seconds=3600.0, camera="door"))
    assert len(read_minutes([path])) == 126
    add_minute(path, minute(100, seconds=3600.0, camera="yard"), cut=True)
    kept = read_minutes([path])
    assert [one for one in kept if one.camera == "door"] == [*door, minute(99, seconds=3600.0, camera="door")]
    assert [one for one in kept if one.camera == "yard"] == [*yard[1:], kept[-1]]


def test_a_record_is_cut_to_48_hours(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    path.write_text("".join(minute(n, seconds=600.0).to_line() for n in range(400)))
    add_minute(path, minute(400, seconds=600.0), cut=True)
    assert read_minutes([path]) == [minute(n, seconds=600.0) for n in range(400 - 287, 401)]
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_of_starts_alone_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_record, "_MOST_BYTES", 20_000)
    path = tmp_path / "health.jsonl"
    for number in range(300):
        add_minute(path, minute(number, seconds=0.0, frames=0))
        assert path.stat().st_size < 21_000
    assert read_minutes([path])[-1] == minute(299, seconds=0.0, frames=0)


def test_a_disk_that_is_full_keeps_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "health.jsonl", os.write
    add_minute(path, minute())
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:10]))
    with pytest.raises(OSError, match="No space left"):
        add_minute(path, minute(1))
    monkeypatch.undo()
    assert path.read_text() == minute().to_line()


def _write_many(path: Path, camera: str) -> None:
    for number in range(30):
        add_minute(path, minute(number, seconds=600.0, camera=camera))
        add_minute(path, minute(seconds=1e5, camera="too long"), cut=number % 3 == 0)


def test_two_processes_that_add_and_cut_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_many, args=(path, camera)) for camera in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = read_minutes([path])
    for camera in "ab":
        expected = [minute(number, seconds=600.0, camera=camera) for number in range(30)]
        assert [one for one in found if one.camera == camera] == expected


def test_the_services_record_is_found_by_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(registry, "SYSTEM", Path("/var/lib/mobilenet-edge/bundles"))  # no test's
    assert record_files()[-1] == Path("/var/lib/mobilenet-edge/state/mobilenet-edge/health.jsonl")


def test_a_board_is_hot_near_its_limit_or_when_it_says_so() -> None:
    assert not is_hot(Health())
    assert not is_hot(Health(temperature_c=70.0, throttle_bits=0x50000))
    assert is_hot(Health(temperature_c=79.0))
    assert is_hot(Health(temperature_c=69.0, limit_c=70.0))
    assert is_hot(Health(throttle_bits=0x4))
    assert is_hot(Health(held_back=("cpufreq",)))


def test_a_minute_checks_its_figures() -> None:
    with pytest.raises(ValueError, match="share"):
        replace(minute(), variants={"x": VariantMinute(frames=2000, p95_ms=1.0)})
