"""``edge doctor``: whether this machine is ready, and how to fix what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import typer

from edge.cli.options import AsJson
from edge.console import stdout, write_json
from edge.doctor import Finding, Surroundings, examine

__all__ = ["SCHEMA_VERSION", "doctor"]

SCHEMA_VERSION: Final = 1
"""Of what ``--json`` prints, see docs/doctor.md."""
_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "red"}
_DISTRIBUTIONS: Final = (
    "mobilenet-edge",
    "numpy",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "opencv-python",
    "opencv-python-headless",
    "tensorrt",
    "picamera2",
    "psutil",
)
"""What a bug report has to tell of the environment."""


def doctor(json: AsJson = False) -> None:
    """Examine this machine. Exit code 1 when something keeps the runtime from working.

    Example: edge doctor --json > report.json
    """
    around = Surroundings()
    findings = examine(around)
    if json:
        write_json(_report(around, findings))
    else:
        _print(around.device.board or "This machine", findings)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _report(around: Surroundings, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": around.device.to_dict(),
        "health": around.health.to_dict(),
        "packages": {name: _version(name) for name in _DISTRIBUTIONS},
        "findings": [finding.to_dict() for finding in findings],
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _print(title: str, findings: Sequence[Finding]) -> None:
    """One line for each finding, and below it, alone on its line to be copied, the fix."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for finding in findings:
        style = _STYLES[finding.status]
        made.add_row(Text(finding.status, style), finding.check, Text(finding.detail, style if finding.fix else ""))
        if finding.fix:
            made.add_row("", Text("fix:", "bold"), Text(finding.fix))
    console = stdout()
    console.print(Text(title, "bold"))
    console.print(made)
    counts = [sum(finding.status == status for finding in findings) for status in ("problem", "warning")]
    console.print(f"{_count(counts[0], 'problem')}, {_count(counts[1], 'warning')}")


def _count(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
