"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(check: Callable[[], Any], timeout_s: float = 60) -> Any:
    """What ``check`` gives as soon as that is something."""
    end_s = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.05)
    return found
