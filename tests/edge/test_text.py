"""Whatever is printed is cleaned first: in one place, which everything that prints goes through."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from camera_demo.logs import set_up_logs
from edge import native_output
from edge.bundles.bundle import MANIFEST
from edge.native_output import quiet_native_output
from edge.text import clean, json_text, one_line
from tests.edge.small_demo import write_small_demo

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b[31mred\x07\x9b2J\u202egnp.exe\x7f\u200e \udcff[/bold]"
SAFE = "a[31mred2Jgnp.exe \ufffd[/bold]"


def test_what_steers_a_terminal_is_left_out() -> None:
    assert clean(HOSTILE) == SAFE
    assert clean("a\tb\n猫 кухня é ±") == "a\tb\n猫 кухня é ±"


def test_nothing_passes_for_a_line_of_its_own() -> None:
    assert one_line("lost\n\r\n note: all is well\u2028x\x85y\x0bz ") == "lost note: all is well x y z"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_loses_nothing(indent: int | None) -> None:
    text = json_text({HOSTILE: ["猫\n", HOSTILE]}, indent=indent)
    assert json.loads(text) == {HOSTILE: ["猫\n", HOSTILE]}
    assert "猫" in text and clean(text) == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_logs_are_cleaned(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("camera_demo")
    before = logger.handlers, logger.propagate, logger.level
    try:
        set_up_logs("text" if form == "text" else "json")
        logger.warning("%s\n%s", HOSTILE, "note: all is well", extra={"source": HOSTILE})
        logger.info("plain")
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
    first, second = capfd.readouterr().err.splitlines()
    assert clean(first) == first
    if form == "text":
        assert (first, second) == (f"{SAFE} note: all is well", "plain")
    else:
        assert json.loads(first)["source"] == HOSTILE


def test_lines_of_native_libraries_are_cleaned(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native_output, "_is_shown", False)  # a test of --debug may have come before
    with quiet_native_output():
        os.write(2, b"ERROR: tensor \x1b]0;pwned\x07 is \xff wrong\n")
    assert capfd.readouterr().err == "ERROR: tensor ]0;pwned is \ufffd wrong\n"


def test_nothing_prints_past_it() -> None:
    writes = re.compile(r"typer\.echo|sys\.(__)?std(out|err)(__)?\.(buffer\.)?write|\bos\.write\((1|2)\b|secho")
    found = {
        str(path.relative_to(ROOT))
        for room in ("edge", "convert", "camera_demo")
        for path in (ROOT / room).rglob("*.py")
        if writes.search(path.read_text())
    }
    assert found == {"edge/console.py", "edge/native_output.py", "edge/program.py"}


def test_labels_with_escapes_reach_no_terminal(tmp_path: Path) -> None:
    folder = write_small_demo(tmp_path / "bundle", golden=None)
    labels = b"\n".join(b"\x1b]0;pwned\x07\xc2\x9b31m\xe2\x80\xaelabel %d" % number for number in range(11))
    (folder / "labels.txt").write_bytes(labels)
    values = json.loads((folder / MANIFEST).read_text())
    values["labels"] |= {"size_bytes": len(labels), "sha256": hashlib.sha256(labels).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(values))
    picture, live = (
        str(next((ROOT / "edge/bundles/demo/golden").glob("*.png"))),
        ["synthetic:64x64@30", "--max-frames=2"],
    )
    commands = [
        ["edge", "classify", picture, "--unknown", "off"],
        ["edge", "classify", picture, "--json"],
        ["edge", "bundle", "info"],
        ["camera_demo", *live, "--variant=0.25_128", "--unknown", "off"],
        ["camera_demo", *live, "json:-", "--variant=0.25_128", "--log-format=json"],
    ]
    for command in commands:
        place = [str(folder)] if command[1] == "bundle" else ["--bundle", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", *command, *place],
            capture_output=True,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert clean(done.stdout) == done.stdout and clean(done.stderr) == done.stderr, command
        assert "label" in done.stdout or "info" in command
