"""Events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from camera_demo.events import Event, Moment


@pytest.fixture
def make_event() -> Callable[..., Event]:
    def make(label: str = "three", **changes: Any) -> Event:
        event = Event(
            number=1,
            region="",
            label=label,
            class_id=3,
            start=Moment(10, 1.0, 1e9),
            last=Moment(14, 1.4, 1e9 + 0.4),
            probability=0.97,
            best=Moment(12, 1.2, 1e9 + 0.2),
            image=np.full((480, 640, 3), 90, np.uint8),
        )
        return replace(event, **changes)

    return make
