"""The one table of backends, and the search through it: in order, every refusal kept with its reason."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final, Protocol

from edge.backends.contract import Backend, ModelFile
from edge.bundle import Bundle
from edge.errors import BackendError
from edge.manifest import Artifact
from edge.variant import Variant

__all__ = ["BACKENDS", "BackendReport", "Opened", "Refusal", "backend_reports", "open_backend"]


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    format: str
    """The artifact format it runs; empty if it needs no file."""
    by_name_only: bool = False


BACKENDS: Final = (
    _Row("litert", "tflite"),
    _Row("onnxruntime", "onnx"),
    _Row("fake", "", by_name_only=True),
)
"""Every backend, in the order in which they are tried; each is a module of this package."""


class _Module(Protocol):
    def version(self) -> str:
        """The runtime's name and version; :class:`BackendError` when it cannot be imported."""

    def load(self, model: ModelFile, threads: int) -> Backend:
        """Load a model file."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A backend that was not used, and why."""

    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded model, and how it came to be the one."""

    backend: Backend
    artifact: Artifact
    refusals: tuple[Refusal, ...]
    """The backends that were tried before and could not."""


@dataclass(frozen=True, slots=True)
class BackendReport:
    """Whether a backend can be used on this machine."""

    name: str
    is_available: bool
    detail: str
    """Its version, or the reason why not."""


def open_backend(
    bundle: Bundle, variant: Variant, *, name: str = "auto", threads: int = 1
) -> Opened:
    """Load a variant with the first backend that takes it.

    Args:
        bundle: An opened bundle.
        variant: Which of its variants.
        name: A backend's name, or ``auto`` for the first in the table that works.
        threads: Threads for the inference.

    Returns:
        The backend, the file it runs, and the refusals of those tried before it.

    Raises:
        BackendError: None works; the message has every reason.
        BundleError: The bundle does not have the variant.
    """
    bundle.find(variant)
    known = [row.name for row in BACKENDS]
    if name not in ("auto", *known):
        raise BackendError(f"There is no backend '{name}': expected auto, {', '.join(known)}.")
    if threads < 1:
        raise BackendError(f"A backend cannot use {threads} threads: expected 1 or more.")
    refusals: list[Refusal] = []
    for row in BACKENDS:
        if row.name == name or (name == "auto" and not row.by_name_only):
            try:
                artifact = _artifact(row, bundle, variant)
                model = ModelFile(bundle.path(artifact.file), variant, bundle.manifest.classes)
                return Opened(_module(row).load(model, threads), artifact, tuple(refusals))
            except BackendError as reason:
                refusals.append(Refusal(row.name, str(reason)))
    reasons = " ".join(f"{r.backend}: {r.reason}" for r in refusals)
    raise BackendError(f"No backend could open {variant.name}. {reasons}")


def backend_reports() -> tuple[BackendReport, ...]:
    """What each backend says of itself on this machine, in the order of the table."""
    reports = []
    for row in BACKENDS:
        if not row.by_name_only:
            try:
                reports.append(BackendReport(row.name, True, _module(row).version()))
            except BackendError as reason:
                reports.append(BackendReport(row.name, False, str(reason)))
    return tuple(reports)


def _module(row: _Row) -> _Module:
    module: _Module = importlib.import_module(f"edge.backends.{row.name}")
    return module


def _artifact(row: _Row, bundle: Bundle, variant: Variant) -> Artifact:
    entry = bundle.find(variant)
    artifact = entry.artifact(row.format) if row.format else entry.artifacts[0]
    if artifact is None:
        raise BackendError(f"the bundle has no .{row.format} file of {variant.name}.")
    return artifact
