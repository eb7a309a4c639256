"""Ctrl-C before a command has begun, and where an exception would be lost: no traceback, and one exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPTS: dict[str, str] = PROJECT["project"]["scripts"]

INTERRUPTED_AT_AN_IMPORT = """
import os, signal, sys
from {module} import {function}
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "{imported}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
sys.argv = ["{script}", "--help"]
{function}()
"""

INTERRUPTED_IN_A_COMMAND = """
import os, signal, sys, time, typer
from edge.program import run
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
app = typer.Typer()
@app.command()
def wait():
    thing = Dying()
    del thing
    time.sleep(60)
sys.argv = ["tool"]
run(lambda: app, "tool")
"""


INTERRUPTED_AT_THE_END = """
import atexit, os, signal, sys, typer
from edge.program import run
app = typer.Typer()
@app.command()
def quick():
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
    print("done")
sys.argv = ["tool"]
run(lambda: app, "tool")
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("imported", ["edge.console", "rich", "typer.core"])
def test_interrupts_while_modules_are_imported_end_without_a_traceback(script: str, imported: str) -> None:
    module, _, function = SCRIPTS[script].partition(":")
    code = INTERRUPTED_AT_AN_IMPORT.format(module=module, function=function, imported=imported, script=script)
    ended = run(code)
    expected = f"{script}: stopped\n" if imported == "rich" else ""  # the others are imported before the command begins
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", expected)


@pytest.mark.parametrize("script", SCRIPTS)
def test_console_scripts_import_nothing_of_ours_before_they_begin(script: str) -> None:
    module = SCRIPTS[script].partition(":")[0]
    packages = [".".join(module.split(".")[:count]) for count in range(1, module.count(".") + 2)]
    code = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    ours = {name for name in run(code).stdout.split() if name.partition(".")[0] in ("edge", "convert", "camera_demo")}
    assert ours == {*packages, "edge", "edge.interrupts"}


def test_interrupts_while_an_object_is_destroyed_are_not_lost() -> None:
    ended = run(INTERRUPTED_IN_A_COMMAND)
    assert ended.returncode == 130
    assert ended.stderr == "tool: stopped\n"


def test_interrupts_after_the_command_leave_what_it_printed() -> None:
    ended = run(INTERRUPTED_AT_THE_END)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "done\n", "")


def test_an_interrupt_within_an_exec_of_text_ends_with_the_exit_code_as_well() -> None:
    """Python notes such an interrupt, as dataclasses and named tuples may meet it, and would end itself by SIGINT."""
    code = """
import typer
from edge.program import run
app = typer.Typer()
@app.command()
def wait():
    exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)")
import sys
sys.argv = ["tool"]
run(lambda: app, "tool")
"""
    ended = run(code)
    assert (ended.returncode, ended.stderr) == (130, "tool: stopped\n")


@pytest.mark.parametrize("line", ["typer.echo('x' * 10)", "print('x')", "stdout().print('x')", "pass"])
def test_a_reader_that_leaves_early_ends_a_command_without_a_word(line: str) -> None:
    code = f"""
import os, sys, typer
from edge.console import stdout
from edge.program import run
read, write = os.pipe()
os.dup2(write, 1)
os.close(read)
app = typer.Typer()
@app.command()
def show():
    "Shows."
    {line}
    sys.stdout.flush()
sys.argv = ["tool"] + ["--help"] * ({line!r} == "pass")
run(lambda: app, "tool")
"""
    ended = run(code)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_interrupts_that_were_ignored_stay_so() -> None:
    code = """
import os, signal
from edge.interrupts import end_on_interrupt, raise_on_signals
signal.signal(signal.SIGINT, signal.SIG_IGN)
end_on_interrupt()
raise_on_signals()
os.kill(os.getpid(), signal.SIGINT)
print("went on")
"""
    assert run(code).stdout == "went on\n"
