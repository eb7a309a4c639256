"""Whether a model file can be trusted to run in this process: tried in a child process first, once for each file.

What ships with the package or was installed has been tried. The verdict on any other file is kept in the user's cache
by the file's SHA-256 and the runtime's version, so that it costs nothing the next time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from edge.bundles.bundle import Bundle, is_vouched_for
from edge.bundles.manifest import Artifact
from edge.errors import BackendError
from edge.files import write_atomically
from edge.inference.backends import litert, onnxruntime
from edge.inference.inspection import inspect_models
from edge.inference.tflite_structure import check_structure
from edge.paths import cache_folder

__all__ = ["check_artifact", "check_bundle"]

_FORMATS: Final = {"litert": "tflite", "onnxruntime": "onnx"}
"""The format of each backend whose files are tried. TensorRT runs engines that were built of them on this machine."""


def check_artifact(bundle: Bundle, artifact: Artifact, backend: str) -> None:
    """Make sure that a backend can load and run a file, before it does.

    Args:
        bundle: The file's bundle.
        artifact: The file.
        backend: The backend's name; files of other backends than LiteRT and ONNX Runtime are not checked.

    Raises:
        BackendError: It cannot; nothing but a child process has tried.
    """
    if backend not in _FORMATS:
        return
    version = _version(backend)
    if is_vouched_for(bundle.root):
        _check_structures(bundle, [artifact], backend)
        return
    note = cache_folder() / "tried" / artifact.sha256
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if note.read_text(encoding="utf-8") == version:
            return
    _try(bundle, [artifact], backend)
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, version)


def check_bundle(bundle: Bundle, *, backend: str = "auto") -> None:
    """Load and run every variant in a child process, whatever was tried before.

    Args:
        bundle: The bundle.
        backend: ``auto``, or a backend's name, with or without a precision.

    Raises:
        BackendError: A file cannot be loaded or run.
    """
    wanted, _, precision = backend.partition(":")
    for name, format in _FORMATS.items():
        if wanted not in ("auto", name) or not _is_installed(name):
            continue
        found = [
            [a for a in entry.artifacts if a.format == format and precision in ("", a.precision)]
            for entry in bundle.variants
        ]
        _try(bundle, [artifact for artifacts in found for artifact in artifacts], name)
        if all(found):
            return


def _try(bundle: Bundle, artifacts: Sequence[Artifact], backend: str) -> None:
    if not artifacts:
        return
    _check_structures(bundle, artifacts, backend)
    paths = [bundle.path(artifact.file) for artifact in artifacts]
    with _named(bundle, artifacts):
        found = inspect_models(paths, format=_FORMATS[backend])
    for artifact, inspection in zip(artifacts, found, strict=True):
        if not inspection.is_finite:
            name = f"{artifact.file} of bundle {bundle.name}"
            raise BackendError(f"{name} answers with values that are not numbers: its weights are damaged.")


def _check_structures(bundle: Bundle, artifacts: Sequence[Artifact], backend: str) -> None:
    for artifact in artifacts if backend == "litert" else ():
        with _named(bundle, [artifact]):
            check_structure(bundle.path(artifact.file))


@contextlib.contextmanager
def _named(bundle: Bundle, artifacts: Sequence[Artifact]) -> Iterator[None]:
    """Name files in errors by their bundle: while it is being installed, they are in a folder that does not stay."""
    try:
        yield
    except BackendError as reason:
        message = str(reason)
        for artifact in artifacts:
            message = message.replace(str(bundle.path(artifact.file)), f"{artifact.file} of bundle {bundle.name}")
        raise BackendError(message) from reason


def _version(backend: str) -> str:
    return litert.version() if backend == "litert" else onnxruntime.version()


def _is_installed(backend: str) -> bool:
    try:
        _version(backend)
    except BackendError:
        return False
    return True
