"""The configuration file and the settings that it and the command line share."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from camera_demo.cli import camera_demo
from camera_demo.config import read_config, settings_of
from camera_demo.errors import ConfigError
from camera_demo.settings import Settings


def test_every_option_has_its_key_and_every_key_its_option() -> None:
    options = set(inspect.signature(camera_demo).parameters) - {"context", "config", "debug"}
    assert options == {field.name for field in fields(Settings)} - {"action", "thresholds"}, (
        "tables are in the file alone"
    )


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('input = "0"\noutputs = ["json:-", "a.mp4"]\nfps = 15\ntop_k = 3\nloop = true\n')
    settings = settings_of(read_config(path), {"top_k": 1, "budget_ms": 20.0})
    assert (settings.input, settings.outputs, settings.top_k, settings.loop) == ("0", ("json:-", "a.mp4"), 1, True)
    assert (settings.fps, settings.budget_ms) == (None, 20.0), "one replaces the other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fsp = 30", "unknown key 'fsp': did you mean 'fps'?"),
        ("xyzzy = 1", "unknown key 'xyzzy': expected one of input, outputs, bundle,"),
        ('fps = "fast"', "fps is 'fast': expected a number."),
        ("fps = true", "fps is 'True': expected a number."),
        ("threads = 1.5", "threads is '1.5': expected a whole number."),
        ("outputs = 'json:-'", "outputs is 'json:-': expected a list of texts."),
        ("outputs = [1]", "outputs is '[1]': expected a list of texts."),
        ("wait = 1", "wait is '1': expected true or false."),
        ('input_flip = "upside-down"', "input_flip is 'upside-down': expected none, horizontal, vertical,"),
        ("[camera]\nfps = 3", "unknown key 'camera'"),
        ("[channel]\nurl = 'x'", "what a board follows is set in channel.toml beside it"),
        ("thresholds = 0.5", "thresholds is '0.5': expected a table of numbers, as { cup = 0.8 }."),
        ('thresholds = { cup = "high" }', "expected a table of numbers"),
        ("thresholds = { cup = true }", "expected a table of numbers"),
        ("fps = ", "is not TOML: "),
        ("a" * 10, "is not TOML: "),
    ],
)
def test_invalid_files_are_refused_with_a_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_config(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read configuration .*: no such file or directory"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threads", 0, "threads must be at least 1, got 0."),
        ("smoothing", -1.0, "smoothing must be between 0 and 3600 s, got -1.0."),
        ("smoothing", float("nan"), "smoothing must be a finite number, got nan."),
        ("threshold", 2.0, "threshold must be between 0 and 1, got 2.0."),
        ("token", "short", "token is too short to keep anybody out: expected 8 letters or more."),
        ("log_format", "xml", "log_format must be text or json, got 'xml'."),
    ],
)
def test_a_setting_out_of_range_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings_of({}, {name: value})
    assert str(raised.value) == message
