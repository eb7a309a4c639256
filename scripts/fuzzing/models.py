"""Model files that lie: numbers of a good one changed where the runtime trusts them, judged as the package uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from edge.errors import EdgeError
from edge.inference import inspection
from edge.inference.backends import litert
from edge.inference.tflite_metadata import read_metadata
from edge.inference.tflite_structure import check_structure
from scripts.fuzzing.forks import Fault, Stage
from scripts.fuzzing.model_changes import model_file

__all__ = ["judge", "prepared"]

FILE: Final = "model.tflite"


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Make what all cases share."""
    litert.version()
    for case in range(20):
        model_file(0, case)
    yield


def judge(seed: int, case: int, folder: Path, stage: Stage) -> str:
    """Make a file, and do with it what the package does: its structure, its metadata, its trial, its use."""
    path = folder / FILE
    path.write_bytes(model_file(seed, case))
    try:
        stage("structure")
        check_structure(path)
        stage("metadata")
        read_metadata(path)
        stage("trial")
        answer = inspection._answer("tflite", str(path), inspection.MOST_BYTES)
        if "error" in answer:
            return _one_line(str(answer["error"]))
        if not answer["is_finite"]:
            return "its answers are not numbers"
        stage("use")
        _use(path)
    except EdgeError as reason:
        return _one_line(str(reason))
    return ""


def _one_line(message: str) -> str:
    if "\n" in message or len(message) > 1000 or not message:
        raise Fault(f"not one clear line: {message[:200]!r}")
    return message


def _use(path: Path) -> None:
    """Run it in this process, with several pictures and threads, as a command would."""
    for threads in (1, 2):
        backend = litert.LiteRTBackend(path, threads)
        dtype = backend.input_spec.dtype
        for value in (0, 1, 127, -128 if dtype == "int8" else 255 if dtype == "uint8" else float("nan")):
            picture = backend.input()
            picture[...] = np.full(picture.shape, value, picture.dtype)
            np.array(backend.infer())
        backend.close()
