"""What each package costs to load, and what every module owes its reader; who imports whom is in pyproject."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("edge", "convert", "camera_demo")

LINES: Final = 300


@dataclass(frozen=True)
class Import:
    """One import: the module that is loaded, and the name taken from it, if any."""

    module: str
    name: str | None
    line: int
    is_lazy: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def public(self) -> list[str]:
        """What ``__all__`` lists."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names: list[str] = ast.literal_eval(node.value)
                return names
        return []


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, is_lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None, node.lineno, is_lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(node.module or ".", alias.name, node.lineno, is_lazy) for alias in node.names)
        else:
            yield from imports_of(node, is_lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


@cache
def modules() -> dict[str, Module]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            name = name_of(path)
            found[name] = Module(name, path, tree, tuple(imports_of(tree)))
    return found


def targets(one: Import) -> str:
    """The module that an import leads to: ``from edge import select`` leads to ``edge.selection``."""
    whole = f"{one.module}.{one.name}"
    return whole if whole in modules() else one.module


def offences(found: Iterator[str]) -> str:
    return "\n".join(found)


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 50
    assert not list((ROOT / "profiles").glob("**/*.py")), "profiles are data"


def test_the_layers_that_pyproject_declares_are_kept() -> None:
    """import-linter reads ``[tool.importlinter]``: who may import whom, and which libraries stay where."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


LOADED: Final = """
import importlib, pkgutil, sys
for package in {packages!r}:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not found.name.endswith("__main__") and not found.name.startswith({but!r}):
            importlib.import_module(found.name)
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


def loaded(packages: tuple[str, ...], but: tuple[str, ...] = ()) -> set[str]:
    """The libraries that are loaded once every module of ``packages`` is, except those that start with ``but``."""
    program = LOADED.format(packages=packages, but=but)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


RUNTIMES: Final = {"onnxruntime", "ai_edge_litert", "tflite_runtime", "tensorrt", "picamera2", "cryptography"}
CONVERTERS: Final = {"torch", "onnx", "h5py", "safetensors", "sklearn"}
SERVERS: Final = {"starlette", "uvicorn", "prometheus_client", "paho"}


def test_edge_loads_no_runtime_and_nothing_that_only_a_command_needs() -> None:
    of_commands = ("edge.cli", "edge.combinations", "edge.console", "edge.grouping", "edge.program")
    libraries = loaded(("edge",), but=of_commands)
    assert not libraries & (RUNTIMES | CONVERTERS | SERVERS | {"typer", "rich"})


def test_the_live_demo_loads_what_it_serves_with_and_no_converter() -> None:
    assert not loaded(("edge", "camera_demo")) & (RUNTIMES | CONVERTERS)


def test_converters_load_no_runtime_and_no_server() -> None:
    assert not loaded(("convert",)) & ((RUNTIMES - {"ai_edge_litert"}) | SERVERS)


OF_FORMATS: Final = {"ai_edge_litert", "flatbuffers", "h5py", "onnx"}
"""Libraries of a format each, that only its reader and its writer load."""


@pytest.mark.parametrize(
    ("module", "but"),
    [
        ("convert.training.launch", OF_FORMATS),
        ("convert.conversion", OF_FORMATS),
        ("convert.cli.app", OF_FORMATS | CONVERTERS),
        ("edge.cli.channel", {"numpy", "cv2"}),
    ],
)
def test_what_a_command_does_not_need_is_not_loaded(module: str, but: set[str]) -> None:
    build = "from edge.cli.app import build; build('channel')" if module == "edge.cli.channel" else f"import {module}"
    program = f"import sys; {build}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & (but | RUNTIMES | SERVERS | {"matplotlib"})


def test_the_doctor_loads_without_the_libraries_whose_absence_it_tells() -> None:
    program = (
        "import sys, edge.cli.app; edge.cli.app.build('doctor'); "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    libraries = set(done.stdout.split())
    assert not libraries & {"numpy", "cv2", *RUNTIMES}
    assert "psutil" in libraries


def test_nobody_takes_a_name_that_its_module_does_not_offer() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for one in module.imports:
                source = modules().get(one.module)
                if source is None or one.name is None or targets(one) != one.module:
                    continue
                if one.name not in source.public:
                    yield f"{module.path}:{one.line} takes {one.name} from {one.module}"

    assert not offences(found())


def documented(body: Sequence[ast.stmt], name: str) -> bool | None:
    """Whether a function or class in ``body`` has a docstring; None if ``name`` is neither."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            return ast.get_docstring(node) is not None
    return None


def test_every_module_and_every_public_function_and_class_is_documented() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            if not ast.get_docstring(module.tree):
                yield f"{module.path} says nothing"
            yield from (f"{module.path}: {n}" for n in module.public if documented(module.tree.body, n) is False)

    assert not offences(found())


def test_what_all_lists_is_there_once() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            bound = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
            bound |= {getattr(node, "name", "") for node in module.tree.body}
            bound |= {one.name or "" for one in module.imports}
            yield from (f"{module.path}: {name}" for name in module.public if name not in bound)
            if len(set(module.public)) != len(module.public):
                yield f"{module.path} lists a name twice"

    assert not offences(found())


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            lines = len(module.path.read_text(encoding="utf-8").splitlines())
            if lines > LINES:
                yield f"{module.path} has {lines} lines, more than {LINES}"

    assert not offences(found())


BLOCKED: Final = """
import sys, time
for name in ("torch", "convert", "camera_demo", "typer", "rich", "onnxruntime", "ai_edge_litert", "tflite_runtime"):
    sys.modules[name] = None
import numpy, cv2
start = time.process_time()
import edge, edge.inference.classifier
print(time.process_time() - start)
"""


def test_edge_loads_without_torch_or_a_backend_and_costs_little_over_numpy_and_opencv() -> None:
    """CPU time, in the process that has just loaded NumPy and OpenCV: other work does not count."""
    costs_s = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        costs_s.append(float(done.stdout))
    assert statistics.median(costs_s) < 0.3
