"""``edge doctor``: whether this machine is ready, and how to mend what is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import typer
from rich.table import Table

from edge.cli.options import AsJson
from edge.console import stdout, write_json
from edge.device import describe
from edge.doctor import examine

__all__ = ["doctor"]

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(json: AsJson = False) -> None:
    """Examine this machine. Exit code 1 when something keeps the runtime from working.

    Example: edge doctor --json > report.json
    """
    findings = examine()
    if json:
        write_json({"device": describe().to_dict(), "findings": [asdict(finding) for finding in findings]})
    else:
        table = Table(title=describe().board or "This machine")
        for heading in ("check", "status", "found", "mend"):
            table.add_column(heading)
        for finding in findings:
            table.add_row(finding.check, finding.status, finding.detail, finding.fix, style=_STYLES[finding.status])
        stdout().print(table)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)
