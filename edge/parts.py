"""Which part of an installation brings which library: the one table behind every message on a missing library."""

from __future__ import annotations

from typing import Final

__all__ = ["failed_import", "part_of"]

_PARTS: Final = {
    "live": ("paho", "prometheus_client", "starlette", "tomli", "uvicorn"),
    "convert": ("flatbuffers", "h5py", "onnx", "safetensors", "torch"),
    "plot": ("matplotlib",),
    "signing": ("cryptography",),
    "demo": ("sklearn",),
    "dev": ("httpx", "hypothesis", "jsonschema", "PIL", "pytest", "selenium", "tensorrt_rtx"),
    "": ("ai_edge_litert", "cv2", "filelock", "numpy", "onnxruntime", "platformdirs", "psutil", "rich", "typer"),
}
"""Libraries by the part that brings them; the empty one is installed always."""


def part_of(library: str) -> str | None:
    """The part whose installation brings ``library``: ``live``; empty if every installation does, None if none."""
    return next((part for part, libraries in _PARTS.items() if library in libraries), None)


def failed_import(error: ImportError, what: str = "this command") -> str:
    """What to say where an import failed: as a rule, because a library of a part is not installed.

    Args:
        error: What the import raised.
        what: What needs the library.

    Returns:
        One line: ``http:// needs starlette, which is not installed: ./install.sh --with live.``
    """
    library = (error.name or "").partition(".")[0]
    part = part_of(library)
    if part is None or not isinstance(error, ModuleNotFoundError):
        return f"{what} needs a library that cannot be imported ({error}): 'edge doctor' shows how to fix it."
    option = f" --with {part}" if part else ""
    return f"{what} needs {library}, which is not installed: ./install.sh{option}."
