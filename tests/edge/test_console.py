"""What every command shares: options, one line per error, and output that is safe to show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from edge import __version__, console, parts
from edge.errors import EdgeError, ExistsError
from edge.parts import extra_of, failed_import
from edge.program import run as run_program
from tests.edge.conftest import file_entry, make_manifest, write_bundle

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b[31mred\x07\x9b2J\u202egnp.exe\x7f \udcff[/bold]"
SAFE = "a[31mred2Jgnp.exe \ufffd[/bold]"

Run = Callable[..., tuple[int, str, str]]


def program(*, fails_with: BaseException | None = None, prints: str = "") -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def measure(fast: bool = False) -> None:
        if fails_with is not None:
            raise fails_with
        typer.echo(prints)

    inner = typer.Typer()

    @inner.command()
    def info() -> None:
        typer.echo("inner")

    @inner.command()
    def verify() -> None:
        typer.echo("inner")

    app.add_typer(inner, name="bundle")
    return app


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(app: typer.Typer | Callable[[], typer.Typer], *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tool", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_program((lambda: app) if isinstance(app, typer.Typer) else app, "tool")
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capfd.readouterr()

    return run


def shell(line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``python`` with a line's arguments and redirections."""
    return subprocess.run(
        f"exec {sys.executable} {line}",
        shell=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_a_narrow_terminal_cuts_no_figure(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = console.table("Bundle", "variant", "file", "top-1 %", "unknown <", "verdict", text=("file", "verdict"))
    for name in ("mobilenet_v1_0.50_224", "mobilenet_v1_0.50_192"):
        rows.add_row(name, "tflite int8", "94.82", "88 %", "fits; less accurate")
    console.stdout().print(rows)
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(out.count(word) == 2 for word in ("tflite", "94.82", "88 %", "accurate")) and out.count("0.50_224") == 1
    longest = max(len(line.rstrip()) for line in out.splitlines())
    assert longest <= columns or columns < 80


class TestOptions:
    @pytest.mark.parametrize("line", [("--version",), ("--debug", "--version"), ("--version", "measure")])
    def test_version(self, run: Run, line: tuple[str, ...]) -> None:
        assert run(program(), *line) == (0, f"tool {__version__}\n", "")

    @pytest.mark.parametrize(
        ("module", "name"), [("edge", "edge"), ("convert", "edge-convert"), ("camera_demo", "camera-demo")]
    )
    def test_version_of_every_program_as_a_module(self, module: str, name: str) -> None:
        done = shell(f"-m {module} --version")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{name} {__version__}\n", "")

    @pytest.mark.parametrize("command", ["", "measure", "bundle", "bundle info"])
    def test_debug_is_an_option_of_every_command(self, run: Run, command: str) -> None:
        assert "--debug" in run(program(), *command.split(), "--help")[1]

    @pytest.mark.parametrize("line", [("--debug", "measure"), ("measure", "--debug"), ("measure", "--debug", "--fast")])
    def test_debug_anywhere_lets_the_error_through(
        self, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["tool", *line])
        monkeypatch.setattr("edge.native_output._is_shown", False)
        with pytest.raises(ZeroDivisionError):
            run_program(lambda: program(fails_with=ZeroDivisionError()), "tool")

    @pytest.mark.parametrize(
        ("line", "start", "is_suggestion"),
        [
            ("measrue", "No such command 'measrue'. Did you mean 'measure'?", True),
            ("bundle inf", "No such command 'inf'. Did you mean 'info'?", True),
            ("measure --fats", "No such option: --fats", False),
            ("measure --fas", "No such option: --fas", False),
            ("fly", "No such command 'fly'.", False),
            ("measure --fast x", "Got unexpected extra argument", False),
        ],
    )
    def test_a_wrong_line_ends_with_one_mark(self, run: Run, line: str, start: str, is_suggestion: bool) -> None:
        code, out, err = run(program(), *line.split())
        assert (code, out) == (2, "")
        assert err.startswith(f"tool: {start}")
        below = line.split()[0] if line.split()[0] in ("measure", "bundle") else ""
        assert err.endswith(f" See {' '.join(['tool', below]).strip()} --help.\n")
        assert err.count("?") == is_suggestion
        assert not any(pair in err for pair in ("?.", "..", ").."))


class TestMissingLibraries:
    @pytest.mark.parametrize(
        ("library", "option"),
        [
            ("torch", " --with convert"),
            ("onnx.helper", " --with convert"),
            ("h5py", " --with convert"),
            ("safetensors", " --with convert"),
            ("matplotlib.figure", " --with plot"),
            ("paho.mqtt", " --with live"),
            ("starlette", " --with live"),
            ("cryptography", " --with signing"),
            ("sklearn.datasets", " --with dev"),
            ("cv2", ""),
            ("numpy", ""),
        ],
    )
    def test_the_part_that_brings_it_is_named(self, run: Run, library: str, option: str) -> None:
        error = ModuleNotFoundError(f"No module named {library!r}", name=library)
        line = f"tool: this command needs {library.partition('.')[0]}, which is not installed: ./install.sh{option}.\n"
        assert run(program(fails_with=error), "measure") == (1, "", line)

        def build() -> typer.Typer:
            raise error

        assert run(build, "measure") == (1, "", line)

    @pytest.mark.parametrize(
        ("library", "way"),
        [
            ("torch", "pip install 'mobilenet-edge[convert]'"),
            ("cv2", "pip install 'mobilenet-edge[headless]'"),
            ("rich.table", "pip install 'mobilenet-edge'"),
        ],
    )
    def test_without_install_sh_pip_brings_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str, way: str
    ) -> None:
        monkeypatch.setattr(parts, "_SCRIPT", tmp_path / "install.sh")
        message = failed_import(ModuleNotFoundError(f"No module named {library!r}", name=library), "mqtt://")
        assert message == f"mqtt:// needs {library.partition('.')[0]}, which is not installed: {way}."

    def test_every_extra_is_one_of_the_package(self) -> None:
        declared = set(metadata("mobilenet-edge").get_all("Provides-Extra") or ())
        assert set(parts._EXTRAS) - {""} <= declared

    def test_version_needs_none(self, run: Run) -> None:
        def build() -> typer.Typer:
            raise ModuleNotFoundError("No module named 'cv2'", name="cv2")

        assert run(build, "--version") == (0, f"tool {__version__}\n", "")

    def test_one_that_is_broken_is_a_case_for_the_doctor(self, run: Run) -> None:
        error = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
        code, _, err = run(program(fails_with=error), "measure")
        reason = "libGL.so.1: cannot open shared object file"
        line = f"this command needs a library that cannot be imported ({reason}): 'edge doctor' shows how to fix it."
        assert (code, err) == (1, f"tool: {line}\n")

    def test_what_is_not_in_the_table(self) -> None:
        assert extra_of("edge") is None
        line = failed_import(ModuleNotFoundError("No module named 'edge.no'", name="edge.no"), "mqtt://")
        assert line.startswith("mqtt:// needs a library that cannot be imported (No module named 'edge.no')")


class TestOutput:
    def test_nothing_steers_the_terminal(self, capfd: pytest.CaptureFixture[str]) -> None:
        result = console.table("T", "name", "figure")
        result.add_row(HOSTILE, HOSTILE)
        console.stdout().print(result)
        console.stdout().print(HOSTILE)
        console.note(HOSTILE)
        out, err = capfd.readouterr()
        assert out.count(SAFE) == 3
        assert err == f"note: {SAFE}\n"
        assert "\x1b" not in out

    def test_json_keeps_every_character_and_shows_none_that_steers(self, capfd: pytest.CaptureFixture[str]) -> None:
        console.write_json({"name": HOSTILE, "label": "猫"})
        out, _ = capfd.readouterr()
        assert json.loads(out) == {"name": HOSTILE, "label": "猫"}
        assert "猫" in out and not any(mark in out for mark in "\x1b\x9b\u202e\x7f")

    def test_a_closed_standard_output_is_an_error(self) -> None:
        done = shell("-m edge bundle list >&-")
        assert (done.returncode, done.stderr) == (1, "edge: Cannot write to standard output: bad file descriptor.\n")

    def test_a_full_disk_is_an_error(self) -> None:
        done = shell("-m edge bundle list >/dev/full")
        expected = "edge: Cannot write to standard output: no space left on device.\n"
        assert (done.returncode, done.stderr) == (1, expected)

    def test_a_closed_standard_error_does_not_matter(self) -> None:
        done = shell("-m edge bundle list --json 2>&-")
        assert (done.returncode, json.loads(done.stdout)[0]["bundle"]) == (0, "demo")
        assert shell("-m edge bundle info /nowhere 2>&-").returncode == 1

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
    def test_labels_that_standard_output_cannot_encode(self, tmp_path: Path, encoding: str) -> None:
        labels = "".join(f"猫{number}\n" for number in range(5)).encode()
        manifest = make_manifest({"0.5_160": 0.8}, labels=file_entry("labels.txt", labels))
        bundle = write_bundle(tmp_path / "b", manifest, {"labels.txt": labels})
        photo = tmp_path / "grey.png"
        photo.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
        line = f"-m edge classify {photo} --bundle {bundle} --backend fake"
        text = shell(line, PYTHONIOENCODING=encoding)
        assert (text.returncode, text.stderr) == (0, "")
        assert "\\u732b0 99.6%" in text.stdout
        values = json.loads(shell(f"{line} --json", PYTHONIOENCODING=encoding).stdout)
        assert values[0]["classes"][0]["label"] == "猫0"


def test_an_error_is_followed_by_the_option_that_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def write() -> None:
        raise ExistsError("out already exists: expected a name that is free.")

    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as ended:
        run_program(app, "program", hints={ExistsError: "--force replaces it.", EdgeError: "never"})
    assert ended.value.code == 1
    expected = "program: out already exists: expected a name that is free. --force replaces it.\n"
    assert capsys.readouterr().err == expected


class TestProgressInALog:
    def test_a_line_every_so_often_however_long_a_step_takes(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(console, "_LINE_EVERY_S", 0.01)
        with console.progress_bar("converting") as progress:
            progress("block1", 0.25)
            wait_for_line(capfd, "converting: 25%, block1")
            wait_for_line(capfd, "converting: 25%, block1")
        assert "progress" not in {thread.name for thread in threading.enumerate()}

    def test_none_of_what_is_over_sooner(self, capfd: pytest.CaptureFixture[str]) -> None:
        with console.progress_bar("converting") as progress:
            progress("block1", 0.25)
        assert capfd.readouterr().err == ""

    def test_a_reader_that_is_gone_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        is_written = threading.Event()

        def closed(message: str) -> None:
            is_written.set()
            raise BrokenPipeError

        monkeypatch.setattr(console, "_LINE_EVERY_S", 0.01)
        monkeypatch.setattr(console, "say", closed)
        with console.progress_bar("converting") as progress:
            progress("block1", 0.25)
            assert is_written.wait(60)
            progress("block2", 0.5)


def wait_for_line(capfd: pytest.CaptureFixture[str], line: str) -> None:
    deadline, seen = time.monotonic() + 60, ""
    while f"{line}\n" not in seen:
        assert time.monotonic() < deadline, seen
        time.sleep(0.005)
        seen += capfd.readouterr().err
