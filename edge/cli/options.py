"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from edge.errors import BackendError

__all__ = ["AsJson", "BackendName", "BundlePlace", "Threads", "ThreadsOrAuto", "UnknownChoice", "thread_choice"]

BundlePlace = Annotated[
    str, typer.Option("--bundle", help="A bundle's folder, or the name of an installed or shipped bundle.")
]
BackendName = Annotated[
    str,
    typer.Option("--backend", help="auto, tensorrt, litert, onnxruntime or fake; with a precision: tensorrt:fp16."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Default: the physical cores, at most 4.")]
ThreadsOrAuto = Annotated[
    str | None,
    typer.Option(
        "--threads", metavar="N|auto", help="auto: each variant's fastest. Default: the physical cores, at most 4."
    ),
]
UnknownChoice = Annotated[
    str,
    typer.Option(
        "--unknown",
        metavar="auto|off|P",
        help="Call an answer unknown below the bundle's own threshold, never, or below this probability.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def thread_choice(text: str | None) -> int | Literal["auto"] | None:
    """The value of ``--threads``, as :data:`edge.profiling.threads.ThreadChoice`.

    Raises:
        BackendError: It is neither ``auto`` nor a number of at least 1.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise BackendError(f"invalid --threads '{text}': expected a number or auto.")
