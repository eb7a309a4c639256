"""The quantizers that ``benchmarks/quantization.py`` compares, and an environment for each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

__all__ = ["TOOLS", "Tool", "installed_mb", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One way of making an int8 file."""

    name: str
    title: str
    script: str
    """Its module in ``benchmarks.quantizers``."""
    environment: str
    """Tools of the same name share one."""
    packages: tuple[str, ...]
    format: str = "tflite"
    options: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ("python3",)
    """The first of these that is there runs it."""


_OURS: Final = (f"--editable={ROOT}[convert,headless]",)

TOOLS: Final[Mapping[str, Tool]] = {
    tool.name: tool
    for tool in (
        Tool(
            name="ours",
            title="mobilenet-edge",
            script="ours",
            environment="ours",
            packages=_OURS,
        ),
        Tool(
            name="tensorflow",
            title="TensorFlow 2.21.0, `TFLiteConverter`, full int8",
            script="tensorflow_converter",
            environment="tensorflow",
            packages=("tensorflow-cpu==2.21.0",),
        ),
        Tool(
            name="onnxruntime",
            title="ONNX Runtime 1.32.0, `quantize_static`, QDQ, per channel",
            script="onnxruntime_qdq",
            environment="onnxruntime",
            packages=("onnxruntime==1.32.0", "onnx==1.23.2", "sympy"),
            format="onnx",
        ),
        Tool(
            name="litert",
            title="litert-torch 0.10.0, litert-quantizer 0.11.0, `static_wi8_ai8`",
            script="litert_static",
            environment="litert",
            packages=("litert-torch==0.10.0", "litert-quantizer==0.11.0", "h5py", "onnx", "opencv-python-headless"),
        ),
        Tool(
            name="onnx2tf",
            title="onnx2tf 2.6.9, `-oiqt`, through TensorFlow",
            script="onnx2tf_int8",
            environment="onnx2tf",
            packages=("onnx2tf[tensorflow]==2.6.9",),
            pythons=("python3.13", "python3.12", "python3"),
        ),
        Tool(
            name="mct",
            title="Sony's model-compression-toolkit 2.6.1, TensorFlow 2.15.1",
            script="model_compression",
            environment="mct",
            packages=("tensorflow-cpu==2.15.1", "model-compression-toolkit==2.6.1"),
            pythons=("python3.11", "python3.10"),
        ),
    )
}


def prepare(tool: Tool, cache: Path) -> Path | str:
    """The tool's environment, made where it is not yet there, or why it cannot be made."""
    folder = cache / "environments" / tool.environment
    stamp = folder / "packages.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8").split() == list(tool.packages):
        return folder
    python = next(filter(_runs, tool.pythons), None)
    if python is None:
        return f"none of {', '.join(tool.pythons)} is here"
    constraints = f"--constraint={ROOT / 'scripts/constraints.txt'}"
    commands: tuple[list[str | Path], ...] = (
        [python, "-m", "venv", "--clear", folder],
        [folder / "bin/python", "-m", "pip", "install", "--quiet", constraints, *tool.packages],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"cannot be installed: {done.stderr.strip().splitlines()[-1][:300]}"
    stamp.write_text("\n".join(tool.packages), encoding="utf-8")
    return folder


def _runs(python: str) -> bool:
    path = shutil.which(python)
    return path is not None and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def installed_mb(environment: Path) -> float:
    """What an environment's packages take on the disk, without pip."""
    packages = next(environment.glob("lib/python3*/site-packages"))
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.relative_to(packages).parts[0] != "pip") / 1e6
