from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.flood import Span, faults, main

QUIET = Span(fps=15.0, page_s=(0.01,), pictures=1000, rss_mb=100.0, descriptors=12, cpu_percent=10.0)


def test_what_a_flood_does_is_named() -> None:
    assert faults(QUIET, replace(QUIET, fps=14.3, rss_mb=120.0, page_s=(4.0,), descriptors=200), 5) == []
    flooded = replace(QUIET, fps=14.0, page_s=(0.1, float("inf")), pictures=0, rss_mb=140.0)
    assert faults(QUIET, flooded, 6) == [
        "the rate fell from 15.00 to 14.00 fps",
        "a browser waited inf s for the page",
        "a browser got no pictures",
        "memory grew from 100.0 to 140.0 MB",
        "6 lines were logged",
    ]


def test_a_small_flood_is_not_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kinds = ["--idle", "100", "--slow", "100", "--endless", "10"]
    main(["--seconds", "3", *kinds, "--option=--variant=0.25_128", "--option=--threads=1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["quiet", "flooded"]
    assert float(lines[2].split()[4]) > 0, "the stream went on"
    assert lines[3].endswith(" MB sent, 0 lines logged")
