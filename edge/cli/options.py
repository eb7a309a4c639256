"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from edge.board.affinity import MOST_THREADS, excess_threads
from edge.console import note
from edge.errors import BackendError

__all__ = ["AsJson", "BackendName", "BundlePlace", "Threads", "ThreadsOrAuto", "UnknownChoice", "thread_choice"]

BundlePlace = Annotated[
    str, typer.Option("--bundle", help="A bundle's folder, or the name of an installed or shipped bundle.")
]
BackendName = Annotated[
    str,
    typer.Option("--backend", help="auto, tensorrt, litert, onnxruntime or fake; with a precision: tensorrt:fp16."),
]


def _noted(count: int | None) -> int | None:
    """Say if there are more threads than CPUs: they may be meant, and are slower."""
    if excess := excess_threads(count):
        note(excess)
    return count


Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=MOST_THREADS, callback=_noted, help="Default: the physical cores, at most 4."),
]
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
        BackendError: It is neither ``auto`` nor a number of threads.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_THREADS:
        return _noted(int(text))
    raise BackendError(f"invalid --threads '{text}': expected a number from 1 to {MOST_THREADS}, or auto.")
