"""docs/fleet.md: every command in it is one that there is, with options that it has; and the role has what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from convert.cli.app import build as build_convert
from edge.cli.app import build as build_edge

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs/fleet.md"
ROLE = ROOT / "deploy/ansible/roles/mobilenet_edge"
VARIABLE = re.compile(r"\bmobilenet_edge_\w+")


def lines() -> list[str]:
    """The commands of all blocks, those behind ``ssh HOST`` and ``sudo`` without that."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = []
    for line in "".join(blocks).splitlines():
        for command in re.split(r" && ", line):
            words = shlex.split(command, comments=True)
            while words[:1] in (["ssh"], ["sudo"]):
                words = words[2:] if words[0] == "ssh" else words[1:]
            found.append(shlex.join(words))
    return found


def commands(*names: str) -> list[list[str]]:
    """The commands that call one of these programs, without it."""
    split = [shlex.split(line) for line in lines()]
    return [words[1:] for words in split if words and words[0].rpartition("/")[2] in names]


def fault(command: Any, words: list[str], name: str) -> str:
    """Parse a command line, and do not run it: what is wrong with it, empty if nothing is.

    Newer versions of typer have click inside, so its classes cannot be named here.
    """
    try:
        context = command.make_context(name, list(words))
        if hasattr(command, "resolve_command"):
            first = getattr(context, "_protected_args", None) or getattr(context, "protected_args", [])
            found, inner, rest = command.resolve_command(context, [*first, *context.args])
            return fault(inner, rest, found)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    return ""


@pytest.mark.parametrize("words", commands("edge"), ids=shlex.join)
def test_edge_has_the_command(words: list[str]) -> None:
    assert fault(typer.main.get_command(build_edge()), words, "edge") == ""


@pytest.mark.parametrize("words", commands("edge-convert"), ids=shlex.join)
def test_edge_convert_has_the_command(words: list[str]) -> None:
    assert fault(typer.main.get_command(build_convert()), words, "edge-convert") == ""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["channel", "promote"], "Missing argument"),
        (["channel", "promote", "site", "--too"], "No such option"),
        (["channel", "demote", "site"], "No such command"),
    ],
)
def test_a_command_that_there_is_not_would_be_found(words: list[str], reason: str) -> None:
    assert reason in fault(typer.main.get_command(build_edge()), words, "edge")


def test_the_installer_has_the_options_and_targets() -> None:
    found = commands("install.sh")
    assert found
    for words in found:
        done = subprocess.run(["sh", "install.sh", *words, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    assert {words[1] for words in found if words[0] == "--make-wheelhouse"} <= {"pi-bookworm", "pi-trixie", "jetpack6"}


def test_scripts_and_playbooks_are_there() -> None:
    for words in (shlex.split(line) for line in lines() if line):
        if words[0].startswith("scripts/"):
            assert (ROOT / words[0]).is_file()
        for word in words:
            if word.startswith("deploy/") and not word.endswith("/inventory.yml"):
                assert (ROOT / word).is_file()
    for script in re.findall(r"`(scripts/[\w-]+)", DOCUMENT.read_text(encoding="utf-8")):
        assert (ROOT / script).is_file()


def test_every_block_is_right_for_the_shell() -> None:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    done = subprocess.run(["sh", "-n"], input="".join(blocks), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_link_leads_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", DOCUMENT.read_text(encoding="utf-8")):
        path = DOCUMENT.parent / target if target else DOCUMENT
        assert path.is_file(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{target}#{anchor}"


def texts() -> dict[Path, str]:
    """What the role consists of, but for the list of its variables."""
    found = [*ROLE.rglob("*.yml"), *ROLE.rglob("*.j2"), *ROLE.parents[1].glob("*.yml")]
    return {path: path.read_text(encoding="utf-8") for path in found if path.name != "argument_specs.yml"}


def test_every_variable_of_the_role_is_described() -> None:
    specified = re.findall(r"^ {6}(mobilenet_edge_\w+):$", (ROLE / "meta/argument_specs.yml").read_text(), re.MULTILINE)
    set_here = re.compile(r"(?:register: |^ +)(mobilenet_edge_\w+):?", re.MULTILINE)
    made = {name for path, text in texts().items() if path.parent.name == "tasks" for name in set_here.findall(text)}
    for path, text in texts().items():
        unknown = set(VARIABLE.findall(text)) - set(specified) - made
        assert not unknown, f"{path.name} uses {unknown}"
    named = set(VARIABLE.findall(DOCUMENT.read_text(encoding="utf-8")))
    assert named <= set(specified)


def test_the_role_puts_every_unit_in_place_and_takes_it_away_again() -> None:
    units = {path.name for folder in ("camera_demo", "edge/fleet") for path in (ROOT / folder / "service").glob("*.*")}
    units.remove("config.toml")
    for tasks in ("run.yml", "uninstall.yml"):
        text = (ROLE / "tasks" / tasks).read_text()
        assert [unit for unit in units if unit not in text] == []
