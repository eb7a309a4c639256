"""What gets installed: whether each package is needed, its version, its licence, and known vulnerabilities.

    python -m scripts.scan                          check the requirements, and print a table of what pip would install
    python -m scripts.scan --out docs/licences.md   write the table
    python -m scripts.scan --audit                  ask pip-audit (pip install pip-audit) about all of it

It asks pip for its plan (``pip install --dry-run --report``), so it needs a network, and Python 3.11. Exit code 1 when
a package is there that nothing of ours imports or requires, a requirement has no lower bound, or a licence is missing.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from edge.files import write_atomically

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("edge", "convert", "camera_demo")
PARTS: Final[Mapping[str, str]] = {
    "runtime": "litert,headless",
    "live": "live",
    "signing": "signing",
    "plot": "plot",
    "convert": "convert",
}
"""What ``install.sh`` installs by default and with ``--with``, and the extras behind it."""
MODULES: Final[Mapping[str, str]] = {
    "ai-edge-litert": "ai_edge_litert",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "paho-mqtt": "paho",
    "prometheus-client": "prometheus_client",
    "scikit-learn": "sklearn",
    "tflite-runtime": "tflite_runtime",
}
"""The module to import, where it is not the distribution's name."""
CLASSIFIER: Final = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One distribution that pip would install."""

    name: str
    version: str
    licence: str
    requires: tuple[Requirement, ...]

    @classmethod
    def of(cls, values_read: Mapping[str, Any]) -> Package:
        """From the metadata in pip's report."""
        return cls(
            name=normal(values_read["name"]),
            version=values_read["version"],
            licence=licence(values_read) or installed_licence(values_read["name"]),
            requires=tuple(Requirement(line) for line in values_read.get("requires_dist", ())),
        )


def normal(name: str) -> str:
    """A distribution's name as PyPI compares it.

    >>> normal("Jinja_2")
    'jinja-2'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(values_read: Mapping[str, Any]) -> str:
    """The licence in few words: the SPDX expression, else the classifiers, else the first line of the old field."""
    if expression := values_read.get("license_expression"):
        return str(expression)
    named = [line.removeprefix(CLASSIFIER) for line in values_read.get("classifier", ()) if line.startswith(CLASSIFIER)]
    first = str(values_read.get("license") or "").strip().partition("\n")[0]
    return " / ".join(named) or (first if len(first) < 60 else "")


def installed_licence(name: str) -> str:
    """The SPDX expression of a package that is installed here: pip before 24.2 leaves it out of its report."""
    try:
        values_read = metadata(name)
    except PackageNotFoundError:
        return ""
    return next(iter(values_read.get_all("License-Expression") or ()), "")


def requirements() -> dict[str, list[Requirement]]:
    """What ``pyproject.toml`` asks for, by extra; the empty name for all of them."""
    tomllib: Any = importlib.import_module("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in lists.items()}


def imported() -> set[str]:
    """The top-level modules that our packages import, or name to import later."""
    found: set[str] = set()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name.partition(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module)):
                    found.add(module.partition(".")[0])
                case ast.Constant(value=str(text)) if re.fullmatch(r"[a-z]\w*(\.\w+)*", text):
                    found.add(text.partition(".")[0])
    return found


def objections() -> Iterator[str]:
    """What is wrong with the requirements themselves."""
    modules = imported()
    for extra, lines in requirements().items():
        for line in lines if extra not in ("demo", "dev") else ():
            if MODULES.get(line.name, line.name.replace("-", "_")) not in modules:
                yield f"{line.name} is required{f' by {extra}' if extra else ''}, and nothing of ours imports it"
        for line in lines:
            is_bounded = any(bound.operator in (">=", "==", "<") for bound in line.specifier)
            if not is_bounded and not line.name.startswith("types-"):
                yield f"{line.name} has no lower bound"


def planned(extras: str) -> list[Package]:
    """What pip would install for these extras into an empty environment, without our own package."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qqq", "--dry-run", "--ignore-installed"]
        command += ["--constraint", "scripts/constraints.txt", "--report", str(report), f".[{extras}]"]
        subprocess.run(command, cwd=ROOT, check=True)
        packages = [Package.of(one["metadata"]) for one in json.loads(report.read_text(encoding="utf-8"))["install"]]
    return sorted((one for one in packages if one.name != "mobilenet-edge"), key=lambda one: one.name)


def unneeded(packages: Sequence[Package], asked: Sequence[Requirement]) -> set[str]:
    """The packages that neither we nor anything we need asks for."""
    by_name = {package.name: package for package in packages}
    waiting, needed = list(asked), set[tuple[str, str]]()
    while waiting:
        one = waiting.pop()
        for extra in ("", *one.extras):
            if (key := (normal(one.name), extra)) in needed or key[0] not in by_name:
                continue
            needed.add(key)
            requires = by_name[key[0]].requires
            waiting += [line for line in requires if line.marker is None or line.marker.evaluate({"extra": extra})]
    return by_name.keys() - {name for name, _ in needed}


def table(parts: Mapping[str, Sequence[Package]]) -> str:
    """One table: each package once, in the first part that brings it."""
    text, seen = "| package | version | licence | comes with |\n|---|---|---|---|\n", set[str]()
    for part, packages in parts.items():
        for package in packages:
            if package.name not in seen:
                text += f"| {package.name} | {package.version} | {package.licence} | {part} |\n"
            seen.add(package.name)
    return text


def write(document: Path, text: str) -> None:
    """Replace what stands below the document's mark."""
    before, mark, _ = document.read_text(encoding="utf-8").partition("<!-- packages -->\n")
    write_atomically(document, f"{before}{mark}\n{text}")


def audit(packages: Sequence[Package]) -> int:
    """What pip-audit knows of these versions; it asks PyPI, and where that has no answer, it says so."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{package.name}=={package.version.partition('+')[0]}\n" for package in packages))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--requirement", file.name]
        return subprocess.run(command, check=False).returncode


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the document to write the table into")
    parser.add_argument("--audit", action="store_true", help="ask pip-audit about known vulnerabilities")
    options = parser.parse_args()
    wrong, asked, parts = list(objections()), requirements(), {}
    for part, extras in PARTS.items():
        packages = parts[part] = planned(extras)
        lines = [line for extra in ("", *extras.split(",")) for line in asked[extra]]
        wrong += [f"{name} comes with {part}, and nothing needs it" for name in sorted(unneeded(packages, lines))]
        wrong += [f"{package.name} does not tell its licence" for package in packages if not package.licence]
    print(table(parts))
    if options.out:
        write(options.out, table(parts))
    for line in dict.fromkeys(wrong):
        print(f"scan: {line}", file=sys.stderr)
    status = audit([package for packages in parts.values() for package in packages]) if options.audit else 0
    return 1 if wrong else status


if __name__ == "__main__":
    sys.exit(main())
