"""Who may import whom, what each room costs to enter, and what every module owes its reader."""

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

MAY_IMPORT: Final = {"edge": {"edge"}, "camera_demo": {"camera_demo", "edge"}, "convert": {"convert", "edge"}}

LAYERS: Final = (
    ("errors", "tensor", "device", "commands", "load", "memory"),
    ("architecture", "files", "preprocess", "sensors", "latency", "console"),
    ("variant", "images", "power", "affinity", "download", "installed", "signature"),
    ("manifest", "health", "slowdown", "profile", "cuda", "engines"),
    ("bundle", "heat", "sampler", "published", "compare"),
    ("backends", "select", "predict", "archive"),
    ("ladder", "classify", "plot"),
    ("rounds", "patience"),
    ("adapt", "energy", "sustain", "threads", "selftest"),
    ("adaptive", "activation"),
    ("measure",),
    ("store",),
    ("doctor",),
    ("cli",),
    ("__main__",),
)
"""The rooms of ``edge`` from the ground up: each uses only rooms of floors below, and what is in itself."""

ROOMS_OF: Final = {
    "torch": ("convert",),
    "onnx": ("convert",),
    "h5py": ("convert",),
    "safetensors": ("convert",),
    "flatbuffers": ("convert.to_tflite", "convert.tflite_metadata"),
    "ai_edge_litert": ("convert.to_tflite",),
    "cv2": (
        "edge.preprocess",
        "edge.images",
        "edge.plot",
        "edge.rounds",
        "convert.golden",
        "convert.paper.digits",
        "convert.quantize.views",
        "convert.train.photos",
        "camera_demo",
    ),
    "psutil": ("edge.load", "edge.memory", "edge.threads", "convert.to_tensorrt.making"),
    "typer": ("edge.console", "edge.cli", "convert.cli", "camera_demo.cli"),
    "rich": ("edge.console", "edge.cli", "convert.cli", "camera_demo.cli"),
    "starlette": ("camera_demo.web",),
    "uvicorn": ("camera_demo.web.server",),
    "prometheus_client": ("camera_demo.web.metrics",),
    "paho": ("camera_demo.sinks.mqtt",),
    "onnxruntime": (),
    "tflite_runtime": (),
    "tensorrt": (),
    "picamera2": (),
    "sklearn": (),
    "cryptography": (),
}
"""Where a heavy library may be imported as a module loads; elsewhere only when it is used, or not at all."""

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
    """The module that an import leads to: ``from edge import select`` leads to ``edge.select``."""
    whole = f"{one.module}.{one.name}"
    return whole if whole in modules() else one.module


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def offences(found: Iterator[str]) -> str:
    return "\n".join(found)


def floor(module: str) -> int:
    """The floor of a module of ``edge``; the package itself stands below all."""
    room = module.split(".")[1] if "." in module else ""
    return next((n for n, rooms in enumerate(LAYERS) if room in rooms), -1)


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 50
    assert not list((ROOT / "profiles").glob("**/*.py")), "profiles are data"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for one in module.imports:
                other = one.module.split(".")[0]
                if is_in(module.name, package) and other in PACKAGES and other not in MAY_IMPORT[package]:
                    yield f"{module.path}:{one.line} imports {one.module}"

    assert not offences(found())


def test_torch_is_imported_by_convert_alone_not_even_lazily_elsewhere() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for one in module.imports:
                if is_in(one.module, "torch") and not is_in(module.name, "convert"):
                    yield f"{module.path}:{one.line}"

    assert not offences(found())


def test_every_room_of_edge_has_its_floor() -> None:
    rooms = {name.split(".")[1] for name in modules() if name.startswith("edge.")}
    assert rooms == {room for floor in LAYERS for room in floor}


def test_rooms_of_edge_stand_on_floors_below_only() -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for one in module.imports:
                other = targets(one)
                if not (is_in(module.name, "edge") and other.startswith("edge.")):
                    continue
                is_same_room = module.name.split(".")[1:2] == other.split(".")[1:2]
                if not is_same_room and floor(other) >= floor(module.name):
                    yield f"{module.path}:{one.line} imports {other}"

    assert not offences(found())


@pytest.mark.parametrize("library", ROOMS_OF)
def test_heavy_libraries_are_loaded_in_their_rooms_only(library: str) -> None:
    def found() -> Iterator[str]:
        for module in modules().values():
            for one in module.imports:
                is_at_home = any(is_in(module.name, room) for room in ROOMS_OF[library])
                if is_in(one.module, library) and not one.is_lazy and not is_at_home:
                    yield f"{module.path}:{one.line} loads {one.module}"

    assert not offences(found())


def closure(module: str) -> set[str]:
    """Every module that is loaded with ``module``, outside the project too."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 1)]
        if name in modules():
            waiting += [targets(one) for one in modules()[name].imports if not one.is_lazy]
    return seen


def test_the_doctor_loads_without_the_libraries_whose_absence_it_tells() -> None:
    loaded = {name.split(".")[0] for name in closure("edge.cli.doctor") | closure("edge.cli.app")}
    assert not loaded & {"numpy", "cv2", "onnxruntime", "ai_edge_litert", "tflite_runtime"}
    assert "psutil" in loaded, "the way through the imports works"


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
import edge, edge.classify
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
