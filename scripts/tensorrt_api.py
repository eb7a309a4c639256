"""Which of TensorRT's attributes our code touches, and which versions of TensorRT have them.

``python -m scripts.tensorrt_api`` writes ``tests/convert/tensorrt_api.json``. It asks NVIDIA's own Python bindings,
from PyPI, about 1 MB for each version. They load without a GPU and without TensorRT's gigabytes: the libraries that
they want are stood in for by empty ones, because listing attributes calls none of their functions.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
TABLE: Final = ROOT / "tests/convert/tensorrt_api.json"
MODULES: Final = (
    "edge/inference/backends/tensorrt.py",
    "convert/export/tensorrt/build.py",
    "convert/export/tensorrt/progress.py",
)
BINDINGS: Final = {
    "8.6": "tensorrt-bindings==8.6.1",
    "10.0": "tensorrt-cu12-bindings==10.0.1",
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.13": "tensorrt-cu12-bindings==10.13.0.35",
    "10.16": "tensorrt-cu12-bindings==10.16.1.11",
    "11.4": "tensorrt-cu12-bindings==11.4.0.106",
}
"""JetPack 6.0 has 8.6, 6.1 and 6.2 have 10.3, 7.0 and 7.1 10.13, and 7.2 10.16."""

CLASSES: Final = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
"""What the variables of these names are, in the modules that touch TensorRT."""
BY_CALL: Final = ("ITensor.shape", "DataType.FLOAT", "DataType.HALF", "DataType.INT8")
"""What is touched on values that no variable of such a name holds."""


def touched() -> tuple[set[str], set[str]]:
    """Dotted names below the module ``tensorrt``: those that are used outright, and those that are asked for first."""
    outright, asked = set(BY_CALL), set[str]()
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (path := _path(node)):
                outright.add(path)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
                owner, name = node.args[:2]
                if isinstance(name, ast.Constant) and (path := _path(ast.Attribute(owner, str(name.value)))):
                    asked.add(path)
    return outright - asked, asked


def _path(node: ast.Attribute) -> str | None:
    """``IBuilderConfig.set_flag`` of ``config.set_flag``, ``DeviceType.DLA`` of ``trt.DeviceType.DLA``."""
    names: list[str] = []
    at: ast.expr = node
    while isinstance(at, ast.Attribute):
        names.insert(0, at.attr)
        at = at.value
    if not isinstance(at, ast.Name):
        return None
    if at.id == "trt":
        return ".".join(names)
    if at.id == "self" and len(names) > 1:
        at = ast.Name(names.pop(0).lstrip("_"))
    return ".".join([CLASSES[at.id], names[0]]) if at.id in CLASSES else None


def has(module: Any, path: str) -> bool:
    """Whether ``module`` has an attribute of this dotted name."""
    at = module
    for name in path.split("."):
        if not hasattr(at, name):
            return False
        at = getattr(at, name)
    return True


def main() -> None:
    """Write the table again."""
    paths = sorted(set().union(*touched()))
    there = {version: set(_ask(requirement, paths)) for version, requirement in BINDINGS.items()}
    table = {path: " ".join(version for version in BINDINGS if path in there[version]) for path in paths}
    TABLE.write_text(json.dumps({"bindings": BINDINGS, "versions_with": table}, indent=2) + "\n", encoding="utf-8")


_ASK: Final = """
import importlib.machinery, importlib.util, json, sys
sys.path.insert(0, sys.argv[3])
from scripts.tensorrt_api import has
loader = importlib.machinery.ExtensionFileLoader("tensorrt", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tensorrt", loader))
loader.exec_module(module)
print(json.dumps([path for path in json.loads(sys.argv[2]) if path == "__version__" or has(module, path)]))
"""


def _ask(requirement: str, paths: list[str]) -> list[str]:
    """Those of ``paths`` that one version of the bindings has."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", place, requirement], check=True)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        bindings = next(folder.glob("*/tensorrt.so"))
        for library in _libraries(bindings):
            _stand_in(bindings, folder / library)
        command = [sys.executable, "-c", _ASK, str(bindings), json.dumps(paths), str(ROOT)]
        done = subprocess.run(command, env={"LD_LIBRARY_PATH": place}, check=True, capture_output=True, text=True)
    answer: list[str] = json.loads(done.stdout)
    return answer


def _libraries(bindings: Path) -> Iterator[str]:
    """The libraries of TensorRT that the bindings want."""
    output = subprocess.run(["readelf", "-d", bindings], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        name = line.rpartition("[")[2].rstrip("]")
        if "NEEDED" in line and name.startswith("libnv"):
            yield name


def _stand_in(bindings: Path, library: Path) -> None:
    """A library that has every function that the bindings look for, empty."""
    output = subprocess.run(
        ["nm", "-D", "--undefined-only", bindings], check=True, capture_output=True, text=True
    ).stdout
    names = [line.split()[-1] for line in output.splitlines() if " U " in line]
    wanted = [n for n in names if "@" not in n and not n.startswith(("Py", "_Py", "dl"))]
    source = "\n".join(f"void *{name}(void) {{ return 0; }}" for name in wanted)
    command = ["cc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, check=True, text=True)


if __name__ == "__main__":
    main()
