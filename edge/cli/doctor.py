"""``edge doctor``: whether this machine is ready, and how to mend what is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import typer

from edge.cli.options import AsJson
from edge.console import stdout, table, write_json
from edge.device import describe
from edge.doctor import examine

__all__ = ["doctor"]

_HEADINGS: Final = ("check", "status", "found", "mend")
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(json: AsJson = False) -> None:
    """Examine this machine. Exit code 1 when something keeps the runtime from working.

    Example: edge doctor --json > report.json
    """
    findings = examine()
    if json:
        write_json({"device": describe().to_dict(), "findings": [asdict(finding) for finding in findings]})
    else:
        made = table(describe().board or "This machine", *_HEADINGS, text=_HEADINGS)
        for finding in findings:
            made.add_row(finding.check, finding.status, finding.detail, finding.fix, style=_STYLES[finding.status])
        stdout().print(made)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)
