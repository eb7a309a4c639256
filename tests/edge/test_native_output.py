"""What native libraries write to file descriptor 2."""

from __future__ import annotations

import os

import pytest

from edge.native_output import quiet_native_output, show_native_output


@pytest.fixture(autouse=True)
def not_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.native_output._is_shown", False)


def test_chatter_is_held_back_and_all_else_follows(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_output():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nWARNING: no such thing\nend")
    os.write(2, b"\n")
    assert capfd.readouterr().err == "WARNING: no such thing\nend\n"


def test_an_error_inside_gives_stderr_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quiet_native_output():
        os.write(2, b"ERROR: because\n")
        raise ZeroDivisionError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "ERROR: because\nafter\n"


def test_debugging_shows_all(capfd: pytest.CaptureFixture[str]) -> None:
    show_native_output()
    with quiet_native_output():
        os.write(2, b"INFO: chatter\n")
    assert capfd.readouterr().err == "INFO: chatter\n"
