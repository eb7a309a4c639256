"""The thread that looks at the machine."""

from __future__ import annotations

import threading

import pytest

from edge.board.health import Health
from edge.board.sampler import HealthSampler


def test_looks_are_told_until_the_block_ends() -> None:
    told: list[Health] = []
    enough = threading.Event()

    def tell(health: Health) -> None:
        told.append(health)
        if len(told) == 3:
            enough.set()

    with HealthSampler(tell, every_s=0.001, look=lambda: Health(temperature_c=50.0)) as sampler:
        sampler.start()
        assert enough.wait(10)
    count = len(told)
    assert told == [Health(temperature_c=50.0)] * count
    assert not [thread for thread in threading.enumerate() if thread.name == "health"]
    assert len(told) == count


def test_ending_twice_or_before_the_beginning_is_harmless() -> None:
    sampler = HealthSampler(lambda health: None, look=Health)
    sampler.close()
    sampler.start()
    sampler.close()
    sampler.close()


def test_an_exception_is_logged_once_and_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look() -> Health:
        looks.append(1)
        if len(looks) < 4:
            raise ZeroDivisionError("no clock")
        enough.set()
        return Health()

    with caplog.at_level("WARNING"), HealthSampler(lambda health: None, every_s=0.001, look=look):
        assert enough.wait(10)
    assert [record.getMessage() for record in caplog.records] == [
        "Sampling the board's health failed (ZeroDivisionError: no clock); it goes on."
    ]
