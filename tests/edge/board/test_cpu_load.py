"""The work of other processes."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from edge.board.cpu_load import LoadMeter, other_load_percent


def test_work_of_another_process_is_seen() -> None:
    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)
        assert max(other_load_percent(0.3) or 0.0 for _ in range(5)) > 10
    finally:
        spin.kill()
        spin.wait()


def test_own_work_and_that_of_children_does_not_count_as_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    system = iter(
        [SimpleNamespace(user=10.0, system=5.0, idle=90.0), SimpleNamespace(user=11.0, system=5.5, idle=91.0)]
    )
    own = iter([(1.0, 1.0, 0.0, 0.0, 0.0), (1.5, 1.0, 0.5, 0.25, 0.0)])
    process = SimpleNamespace(cpu_times=lambda: next(own))
    monkeypatch.setattr(
        "edge.board.cpu_load.psutil", SimpleNamespace(Process=lambda: process, cpu_times=lambda: next(system))
    )
    clock = iter([100.0, 101.0])
    monkeypatch.setattr(
        "edge.board.cpu_load.time", SimpleNamespace(perf_counter=lambda: next(clock), sleep=lambda _: None)
    )
    assert other_load_percent() == 25.0


def test_a_meter_measures_from_look_to_look_and_knows_nothing_of_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([0.0, 2.0, 2.0, 2.5])
    process = SimpleNamespace(cpu_times=lambda: (0.0, 0.0))
    times = SimpleNamespace(Process=lambda: process, cpu_times=lambda: SimpleNamespace(user=next(busy)))
    clock = iter([0.0, 1.0, 1.0, 2.0])
    monkeypatch.setattr("edge.board.cpu_load.psutil", times)
    monkeypatch.setattr("edge.board.cpu_load.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    meter = LoadMeter()
    assert [meter.percent() for _ in range(3)] == [200.0, None, 50.0]
