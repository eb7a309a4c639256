import os
import signal
import time
from collections.abc import Iterator

import pytest

from camera_demo.stop import Stop, stop_on_signals


@pytest.fixture
def _heard() -> Iterator[None]:
    """SIGHUP is not ignored, as it is behind ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_the_end_once_somebody_attends(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        stop.attend()
        assert not stop.is_requested
        os.kill(os.getpid(), number)
        assert stop.is_requested
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_while_nobody_attends(number: signal.Signals) -> None:
    with stop_on_signals() as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert stop.is_requested


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_sleep_ends_when_the_end_is_requested() -> None:
    stop = Stop()
    stop.request()
    start_s = time.monotonic()
    stop.sleep(10)
    assert time.monotonic() - start_s < 9


def test_another_reason_to_end_counts_as_well() -> None:
    reasons = [False]
    stop = Stop(lambda: reasons[0])
    assert not stop.is_requested
    reasons[0] = True
    assert stop.is_requested
    stop.sleep(60)  # returns at once
