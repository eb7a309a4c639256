"""A clock for what is timed."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def backend_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only the fake backend's work moves: equal times are equal on a busy machine, too."""
    now_s = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now_s.append(now_s.pop() + seconds))
