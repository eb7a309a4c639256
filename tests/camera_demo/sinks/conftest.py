"""A page at work, and who looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from camera_demo.run_state import RunState
from camera_demo.sinks.page import PageSink


@pytest.fixture
def page(run_state: RunState) -> Iterator[PageSink]:
    sink = PageSink("127.0.0.1", 0, run_state)
    yield sink
    sink.close()


@pytest.fixture
def browser(page: PageSink) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{page.port}", timeout=5, trust_env=False) as client:
        yield client
