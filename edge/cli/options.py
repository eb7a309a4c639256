"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AsJson", "BackendName", "BundlePlace", "Threads"]

BundlePlace = Annotated[str, typer.Option("--bundle", help="A bundle's folder, or the shipped one's name.")]
BackendName = Annotated[
    str,
    typer.Option("--backend", help="auto, tensorrt, litert, onnxruntime or fake; or one on one file: tensorrt:fp16."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Default: the physical cores, at most 4.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
