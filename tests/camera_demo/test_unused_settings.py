"""Settings that say nothing in a run are named at its start."""

from __future__ import annotations

from typing import Any

import pytest

from camera_demo.errors import ConfigError
from camera_demo.settings import TOKEN_VARIABLE, Settings
from camera_demo.unused_settings import unused_settings
from camera_demo.uri import parse_sink, parse_source

SIZE = {"input_width": 320, "input_height": 240, "input_rate": 5.0, "input_codec": "YUYV"}


@pytest.mark.parametrize(
    ("source", "sinks", "values", "said"),
    [
        ("demo", ["json:-"], {}, []),
        ("0", ["http://127.0.0.1:8000"], {**SIZE, "wait": True, "token": "long enough"}, []),
        ("demo", ["json:-"], {"input_flip": "vertical", "loop": True, "pace": True}, []),
        ("csi://0", ["json:-"], SIZE, ["Not used: input_codec. csi://0 gives its pictures as they are."]),
        ("demo", ["json:-"], {"input_width": 320}, ["Not used: input_width. demo is not a camera."]),
        ("demo", ["json:-"], {"wait": True}, ["Not used: wait. demo is not a camera."]),
        ("0", ["json:-"], {"token": "long enough"}, ["Not used: token. No output is http://."]),
        ("0", ["json:-"], {"token": "of all runs"}, []),
        (
            "0",
            ["json:-"],
            {"bundle": "/", "switch_versions": True},
            ["Not used: switch_versions. / is a folder, which has no versions."],
        ),
        ("0", ["json:-"], {"switch_versions": True}, []),
        ("0", ["json:-"], {"threads": 2}, []),
        (
            "0",
            ["json:-"],
            {"threads": 3},
            ["3 threads share 2 CPUs: they wait for one another, and more than 2 is slower."],
        ),
    ],
)
def test_each_is_named_with_its_reason(
    source: str, sinks: list[str], values: dict[str, Any], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.board.affinity.usable_cpus", lambda: (0, 1))
    uris = [parse_sink(sink) for sink in sinks]
    environment = {TOKEN_VARIABLE: "of all runs"}
    assert list(unused_settings(Settings(**values), parse_source(source), uris, environment)) == said


@pytest.mark.parametrize("values", [{"steady_end": "3"}, {"watch": ["cup"]}])
def test_events_that_are_off_are_not_asked_for(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError) as refused:
        Settings(steady="off", **values)
    assert str(refused.value) == f"steady is off, so no class is announced: omit it, or omit {name}."
