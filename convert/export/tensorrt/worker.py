"""The process that builds one engine, started by ``subprocess_builder``: ``python -m convert.export.tensorrt.worker``.

A process of its own, because a builder can be killed for memory or crash, cannot be interrupted from Python, and does
not give all its memory back. It reads its task as one line of JSON on stdin, and ends when stdin does; it writes
progress, the result or the error as lines of JSON on stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from convert.export.tensorrt.build import BuildOptions, build
from edge.errors import EdgeError
from edge.files import write_atomically

__all__ = ["main"]


def main() -> None:
    """Build what stdin asks for."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        report(done=_build(request))
    except (EdgeError, ImportError) as reason:
        report(error=str(reason))


def report(**message: Any) -> None:
    """One line of JSON to the process that started this one."""
    print(json.dumps(message), flush=True)  # noqa: T201 - stdout is the channel


def _build(request: dict[str, Any]) -> dict[str, Any]:
    timings = Path(request["timing_cache"])
    built = build(
        importlib.import_module(request["module"]),
        Path(request["model"]),
        resolution=request["resolution"],
        precision=request["precision"],
        compute_capability=request["compute_capability"],
        options=BuildOptions(**request["options"]),
        timing_cache=timings.read_bytes() if timings.exists() else b"",
        progress=lambda stage, share: report(stage=stage, share=share),
    )
    Path(request["out"]).write_bytes(built.content)
    if built.timing_cache:
        write_atomically(timings, built.timing_cache)
    return {"layers": built.layers, "dla_layers": built.dla_layers}


def _end_with_stdin() -> None:
    """Whoever asked for the engine is gone: nobody wants it any more."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
