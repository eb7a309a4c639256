"""Options that say nothing without others or beside others: refused in one line, in every command that has some."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from camera_demo.cli import app as camera_app
from convert.cli.app import build as build_convert
from convert.cli.app import main as convert_main
from edge.cli.app import build as build_edge
from edge.cli.app import main as edge_main
from edge.combinations import Rule, beside, combined, without
from edge.program import run
from tests.commands import run_in_process

PROGRAMS: dict[str, tuple[Callable[[], typer.Typer], Callable[[], Any]]] = {
    "edge": (build_edge, edge_main),
    "edge-convert": (build_convert, convert_main),
}


def commands() -> Iterator[tuple[str, Any]]:
    for program, (build, _) in PROGRAMS.items():
        yield from _below(program, typer.main.get_command(build()))
    yield "camera-demo", typer.main.get_command(camera_app)


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for each in below.values():
        yield from _below(f"{name} {each.name}", each)


def rules_of(command: Any) -> tuple[Rule, ...]:
    return getattr(command.callback, "rules", ())


CASES = [(name, rule, option) for name, found in commands() for rule in rules_of(found) for option in rule.options]


def test_rules_name_options_that_there_are() -> None:
    for name, command in commands():
        declared = {option for parameter in command.params for option in parameter.opts}
        for rule in rules_of(command):
            unknown = {*rule.options, *rule.needed, *rule.excluding} - declared
            assert not unknown, f"{name}: {unknown}"


@functools.cache
def parameters(name: str) -> dict[str, Any]:
    command = dict(commands())[name]
    return {option: parameter for parameter in command.params for option in parameter.opts}


def _with_value(name: str, option: str) -> list[str]:
    parameter = parameters(name)[option]
    if getattr(parameter, "is_flag", False):
        return [option]
    choices = getattr(parameter.type, "choices", None)
    least = getattr(parameter.type, "min", None)
    return [option, str(choices[0]) if choices else str(max(1, least or 0))]


@pytest.mark.parametrize(("name", "rule", "option"), CASES, ids=[f"{name} {option}" for name, _, option in CASES])
def test_an_option_that_would_do_nothing_is_refused(name: str, rule: Rule, option: str) -> None:
    program, *below = name.split()
    required = [p for p in parameters(name).values() if p.required]
    arguments = [
        *(
            "imagenet" if "imagenet" in getattr(p.type, "choices", ()) else "1"
            for p in required
            if p.param_type_name == "argument"
        ),
        *(text for p in required if p.param_type_name == "option" for text in (p.opts[0], "96")),
    ]
    company = _with_value(name, rule.excluding[0]) if rule.excluding else []
    ended = run_in_process(PROGRAMS[program][1], program, *below, *arguments, *_with_value(name, option), *company)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(f"See {name} --help.\n")
    kind = "beside" if rule.excluding else "without"  # of two rules on one option, the first is broken first
    assert ended.stderr.startswith(f"{program}: {option} does nothing {kind} --")


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((), ""),
        (("--plot", "x", "--title", "t"), ""),
        (("--title", "t", "--grid"), "--title and --grid do nothing without --plot."),
        (("--grid",), "--grid does nothing without --plot."),
        (("--plot", "x", "--plain", "--grid"), "--grid does nothing beside --plain: it has no lines."),
    ],
)
def test_what_is_said(arguments: tuple[str, ...], refusal: str) -> None:
    app, seen = typer.Typer(), []

    @app.command()
    @combined(without("--plot", "--title", "--grid"), beside("--plain", "--grid", reason="it has no lines"))
    def draw(plot: str = "", title: str = "", grid: bool = False, plain: bool = False) -> None:
        seen.append((plot, title, grid, plain))

    ended = run_in_process(lambda: run(lambda: app, "tool"), "tool", *arguments)
    assert ended.stderr == (f"tool: {refusal} See tool --help.\n" if refusal else "")
    assert (ended.returncode, len(seen)) == ((2, 0) if refusal else (0, 1))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_none_are_refused_by_every_option(value: str) -> None:
    app, seen = typer.Typer(), []

    @app.command()
    def wait(seconds: float = typer.Option(1.0, min=0), rate: float = 1.0, count: int = 1) -> None:
        seen.append(seconds)

    for option in ("--seconds", "--rate"):
        ended = run_in_process(lambda: run(lambda: app, "tool"), "tool", f"{option}={value}")
        assert (ended.returncode, seen) == (2, [])
        assert ended.stderr.startswith(f"tool: Invalid value for '{option}': ")
    assert run_in_process(lambda: run(lambda: app, "tool"), "tool", "--seconds=2").returncode == 0
    assert seen == [2.0]
