"""Which part of an installation brings which library: the one table behind every message on a missing library."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["extra_of", "failed_import"]

_EXTRAS: Final = {
    "live": ("httpx", "paho", "prometheus_client", "starlette", "tomli", "uvicorn"),
    "convert": ("h5py", "onnx", "safetensors", "torch"),
    "plot": ("matplotlib",),
    "signing": ("cryptography",),
    "demo": ("sklearn",),
    "dev": ("hypothesis", "jsonschema", "PIL", "pytest", "selenium", "tensorrt_rtx"),
    "headless": ("cv2",),
    "litert": ("ai_edge_litert", "flatbuffers"),
    "onnx": ("onnxruntime",),
    "": ("filelock", "numpy", "platformdirs", "psutil", "rich", "typer"),
}
"""Libraries by the extra of this package that brings them; the empty one is always there."""
_OPTIONS: Final = {"demo": " --with dev", "headless": "", "litert": "", "onnx": "", "": ""}
"""What ``install.sh`` calls an extra, where it is not ``--with`` and its name."""
_SCRIPT: Final = Path(__file__).resolve().parents[1] / "install.sh"


def extra_of(library: str) -> str | None:
    """The extra whose installation brings ``library``: ``live``; empty if every installation does, None if none."""
    return next((extra for extra, libraries in _EXTRAS.items() if library in libraries), None)


def failed_import(error: ImportError, what: str = "this command") -> str:
    """What to say where an import failed: as a rule, because a library of an extra is not installed.

    Args:
        error: What the import raised.
        what: What needs the library.

    Returns:
        One line: ``http:// needs starlette, which is not installed: ./install.sh --with live.`` Where the package was
        installed without ``install.sh``, it names ``pip install 'mobilenet-edge[live]'``.
    """
    library = (error.name or "").partition(".")[0]
    extra = extra_of(library)
    if extra is None or not isinstance(error, ModuleNotFoundError):
        return f"{what} needs a library that cannot be imported ({error}): 'edge doctor' shows how to fix it."
    if _SCRIPT.is_file():
        way = f"./install.sh{_OPTIONS.get(extra, f' --with {extra}')}"
    else:
        way = f"pip install 'mobilenet-edge{f'[{extra}]' if extra else ''}'"
    return f"{what} needs {library}, which is not installed: {way}."
