"""What the requirements owe their reader, and how a plan of pip's is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts import scan

pytest.importorskip("tomllib", reason="scripts.scan needs Python 3.11")



def package(name: str, *requires: str, **told: Any) -> scan.Package:
    return scan.Package.of({"name": name, "version": "1.0", "requires_dist": requires, **told})


def test_every_requirement_is_bounded_below_and_imported() -> None:
    assert list(scan.objections()) == []


def test_a_requirement_without_use_or_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "requirements", lambda: {"": [Requirement("left-pad")], "live": []})
    assert list(scan.objections()) == [
        "left-pad is required, and nothing of ours imports it",
        "left-pad has no lower bound",
    ]


def test_what_nothing_needs_is_found_through_extras_and_markers() -> None:
    packages = [
        package("Our_Need", "second>=1; python_version >= '3'", "third; python_version < '3'"),
        package("second", "fourth[fast]", "fifth; extra == 'more'"),
        *(package(name) for name in ("third", "fifth")),
        package("fourth", "sixth; extra == 'fast'"),
        package("sixth"),
    ]
    assert scan.unneeded(packages, [Requirement("our-need>=1")]) == {"third", "fifth"}


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"license_expression": "MIT", "license": "x"}, "MIT"),
        ({"classifier": ["License :: OSI Approved :: MIT License", "Topic :: X"]}, "MIT License"),
        ({"license": "BSD\nCopyright ..."}, "BSD"),
        ({"license": "a" * 80}, ""),
        ({}, ""),
    ],
)
def test_the_licence_is_told_in_few_words(told: dict[str, Any], licence: str) -> None:
    assert package("there-is-no-such-package", **told).licence == licence


def test_the_table_names_each_package_once_and_replaces_the_old_one(tmp_path: Path) -> None:
    a, b = package("a", license="MIT"), package("b", license="ISC")
    parts = {"runtime": [a], "live": [a, b]}
    document = tmp_path / "licences.md"
    document.write_text("# Licences\n\n<!-- packages -->\nold\n")
    for _ in range(2):
        scan.write(document, scan.table(parts))
    lines = document.read_text().splitlines()
    assert lines[-2:] == ["| a | 1.0 | MIT | runtime |", "| b | 1.0 | ISC | live |"]
    assert "old" not in lines and lines.count("<!-- packages -->") == 1
