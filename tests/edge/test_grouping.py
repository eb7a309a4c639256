"""Options made from a dataclass: their names, and which switches can be turned off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from edge.grouping import grouped
from edge.settings import Doc


@dataclass(frozen=True)
class Switches:
    """One of each kind of switch, and a field that is no option."""

    on_unless_told: Annotated[bool, Doc("On.")] = True
    off_unless_told: Annotated[bool, Doc("Off.")] = False
    as_the_file_says: Annotated[bool | None, Doc("Either.")] = None
    hidden: int = 7


@pytest.mark.parametrize(
    ("options", "switches"),
    [
        ((), Switches()),
        (("--no-on-unless-told",), Switches(on_unless_told=False)),
        (("--on-unless-told",), Switches()),
        (("--off-unless-told",), Switches(off_unless_told=True)),
        (("--as-the-file-says",), Switches(as_the_file_says=True)),
        (("--no-as-the-file-says",), Switches(as_the_file_says=False)),
    ],
)
def test_a_switch_can_be_turned_the_way_it_is_not(options: tuple[str, ...], switches: Switches) -> None:
    assert _run(*options) == (0, switches)


@pytest.mark.parametrize("option", ["--no-off-unless-told", "--hidden"])
def test_nothing_else_is_an_option(option: str) -> None:
    assert _run(option) == (2, None)


def _run(*options: str) -> tuple[int, Switches | None]:
    seen: list[Switches] = []
    app = typer.Typer()

    @app.command()
    @grouped
    def command(switches: Switches = Switches()) -> None:
        seen.append(switches)

    result = CliRunner().invoke(app, options)
    return result.exit_code, seen[0] if seen else None
