"""The one table of backends, and the search through it: in order, every refusal kept with its reason."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final, Protocol

from edge.board.affinity import MOST_THREADS
from edge.bundles.bundle import Bundle
from edge.bundles.manifest import Artifact
from edge.bundles.variant import Variant
from edge.errors import BackendError
from edge.inference.backends.base import Backend, ModelFile, first_line

__all__ = ["BACKENDS", "BackendReport", "Opened", "Refusal", "backend_reports", "open_backend"]


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    format: str
    """The artifact format it runs; empty if it needs no file."""
    precisions: tuple[str, ...] = ()
    """The precisions it is offered, in this order; without any, the format's first file alone."""
    by_name_only: bool = False
    is_optional: bool = False
    """Whether it is passed over without a word on machines that its module does not expect to work on."""


BACKENDS: Final = (
    _Row("tensorrt", "onnx", precisions=("int8", "int8_full", "fp16", "fp32"), is_optional=True),
    _Row("litert", "tflite"),
    _Row("onnxruntime", "onnx", precisions=("fp32", "fp16", "int8", "int8_full")),
    _Row("fake", "", by_name_only=True),
)
"""Every backend, in the order in which they are tried; each is a module of this package."""


class _Module(Protocol):
    def version(self) -> str:
        """The runtime's name and version; :class:`BackendError` when it cannot be imported."""

    def is_expected(self) -> bool:
        """Of an optional backend: whether this machine is one for it."""

    def load(self, model: ModelFile, threads: int) -> Backend:
        """Load a model file."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A backend that was not used, and why."""

    backend: str
    """Its name; with a precision where it took another file of the variant: ``tensorrt:int8``."""
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


def open_backend(bundle: Bundle, variant: Variant, *, name: str = "auto", threads: int = 1) -> Opened:
    """Load a variant with the first backend that takes it.

    Args:
        bundle: An opened bundle.
        variant: Which of its variants.
        name: A backend's name, or ``auto`` for the first in the table that works. A precision may follow, to be
            given that file and no other: ``tensorrt:fp16``.
        threads: Threads for the inference.

    Returns:
        The backend, the file it runs, and the refusals of those tried before it.

    Raises:
        BackendError: None works; the message has every reason.
        BundleError: The bundle does not have the variant.
    """
    bundle.find(variant)
    wanted, _, precision = name.partition(":")
    known = [row.name for row in BACKENDS]
    if wanted not in ("auto", *known):
        raise BackendError(f"There is no backend '{wanted}': expected auto, {', '.join(known)}.")
    if not 1 <= threads <= MOST_THREADS:
        raise BackendError(f"A backend cannot use {threads} threads: expected 1 to {MOST_THREADS}.")
    refusals: list[Refusal] = []
    for row in BACKENDS:
        if row.name == wanted or (wanted == "auto" and _is_tried(row)):
            opened, refused = _first_that_loads(row, bundle, variant, precision, threads)
            if opened is not None:
                files = (Refusal(f"{row.name}:{passed_over}", reason) for reason, passed_over in refused.items())
                return Opened(*opened, (*refusals, *files))
            refusals.append(Refusal(row.name, " ".join(refused)))
    reasons = " ".join(f"{r.backend}: {r.reason}" for r in refusals)
    raise BackendError(f"No backend could open {variant.name}. {reasons}")


def backend_reports() -> tuple[BackendReport, ...]:
    """What each backend says of itself on this machine, in the order of the table."""
    reports = []
    for row in BACKENDS:
        if _is_tried(row):
            try:
                reports.append(BackendReport(row.name, True, _module(row).version()))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a broken runtime raises
                reports.append(BackendReport(row.name, False, _reason(error)))
    return tuple(reports)


def _module(row: _Row) -> _Module:
    module: _Module = importlib.import_module(f"edge.inference.backends.{row.name}")
    return module


def _is_tried(row: _Row) -> bool:
    """Whether ``auto`` tries a backend here."""
    if row.by_name_only or not row.is_optional:
        return not row.by_name_only
    try:
        return _module(row).is_expected()
    except (Exception, SystemExit):  # noqa: BLE001 - loading it gives the reason
        return True


def _reason(error: BaseException) -> str:
    """What a backend's error says, on one line; with its class where the backend did not foresee it."""
    line = first_line(error)
    return line if isinstance(error, BackendError) else f"it is broken ({type(error).__name__}: {line})."


def _first_that_loads(
    row: _Row, bundle: Bundle, variant: Variant, precision: str, threads: int
) -> tuple[tuple[Backend, Artifact] | None, dict[str, str]]:
    """The backend with the first file that it takes, and why it did not take a file of which precision before."""
    from edge.inference.trial import check_artifact  # it runs models with the backends of this package

    reasons: dict[str, str] = {}
    for artifact in _artifacts(row, bundle, variant, precision):
        model = ModelFile(bundle.path(artifact.file), variant, bundle.manifest.classes, artifact.sha256)
        try:
            check_artifact(bundle, artifact, row.name)
            return (_module(row).load(model, threads), artifact), reasons
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken runtime must not hide the next
            reasons.setdefault(_reason(error), artifact.precision)
    kind = f"{precision} .{row.format}" if precision else f".{row.format}"
    return None, reasons or {f"the bundle has no {kind} file of {variant.name}.": precision}


def _artifacts(row: _Row, bundle: Bundle, variant: Variant, precision: str) -> list[Artifact]:
    """The files to offer a backend, in the order in which it is to try them."""
    entry = bundle.find(variant)
    found = [a for a in entry.artifacts if row.format in ("", a.format) and precision in ("", a.precision)]
    if not row.precisions:
        return found[:1]
    return [artifact for wanted in row.precisions for artifact in found if artifact.precision == wanted]
