"""The command line ``edge``, put together from its commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, NoReturn

import typer

from edge.cli.doctor import doctor
from edge.errors import EdgeError, ExistsError, UnequalBoardError, UnlikeProfilesError
from edge.program import run

__all__ = ["build", "main"]

_HINTS: Final[Mapping[type[EdgeError], str]] = {
    ExistsError: "--force replaces it.",
    UnlikeProfilesError: "--force compares them nevertheless.",
    UnequalBoardError: "edge profile without --like measures this board in full.",
}
"""The option that helps with an error of each class; it is printed behind the error."""


def build(*, doctor_only: bool = False) -> typer.Typer:
    """The command line.

    Args:
        doctor_only: Leave out the commands that need NumPy and OpenCV, whose absence the doctor is there to report.
    """
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Measure, choose and run MobileNet v1 variants on this machine.",
        epilog="Example: edge profile --bundle demo && edge select --bundle demo --fps 30",
    )
    app.callback()(lambda: None)
    app.command("doctor")(doctor)
    if not doctor_only:
        from edge.cli import bundle, channel, classify, compare, evaluate, profile, select, teach

        app.command("profile")(profile.profile)
        app.command("select")(select.select)
        app.command("compare")(compare.compare)
        app.command("classify")(classify.classify)
        app.command("teach")(teach.teach)
        app.command("evaluate")(evaluate.evaluate)
        app.add_typer(bundle.app, name="bundle", help="Look into, check, install, roll back and pack bundles.")
        app.add_typer(channel.app, name="channel", help="Bring bundles to many boards, ring by ring, and follow them.")
    return app


def main() -> NoReturn:
    """The console script ``edge``."""
    run(lambda: build(doctor_only="doctor" in sys.argv[1:3]), "edge", _HINTS)
