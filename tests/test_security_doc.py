"""docs/security.md: each statement names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "security.md"


def test_every_statement_names_a_test_that_exists() -> None:
    folder: Path | None = None
    named = 0
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            folder = None
        if head := re.fullmatch(r"\| statement \| test in `(.+)` \|", line):
            folder = ROOT / head[1]
            continue
        if folder is None or not line.startswith("| "):
            continue
        row = re.fullmatch(r"\| .+ \| `(.+\.py)::(\w+)` \|", line)
        assert row, f"no test is named: {line}"
        text = (folder / row[1]).resolve().read_text(encoding="utf-8")
        assert re.search(rf"^ *def {row[2]}\(", text, re.MULTILINE), f"{row[1]} has no {row[2]}"
        named += 1
    assert named > 30


def test_how_to_report_is_written_where_hosts_look_for_it() -> None:
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "SECURITY.md" in DOCUMENT.read_text(encoding="utf-8")
