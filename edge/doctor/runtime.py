"""Checks of what runs the models: NumPy and the inference backends."""

from __future__ import annotations

from collections.abc import Iterator

from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem

__all__ = ["backends", "numpy"]


def numpy(around: Surroundings) -> Iterator[Finding]:
    """NumPy can be imported, and is not too new for tflite-runtime where that is the only LiteRT."""
    if reason := around.import_check("numpy"):
        yield problem("numpy", reason, "Run ./install.sh again, or: pip install numpy")
        return
    version = around.version_of("numpy") or "of unknown version"
    runtime = around.version_of("tflite-runtime")
    if runtime and not around.version_of("ai-edge-litert") and (around.major("numpy") or 0) >= 2:
        message = f"tflite-runtime {runtime} was built for NumPy 1 and fails with NumPy {version}."
        yield problem("numpy", message, "pip install 'numpy<2'")
        return
    yield ok("numpy", version)


def backends(around: Surroundings) -> Iterator[Finding]:
    """Which inference backends there are; one is enough. A self-test checks their answers."""
    try:
        reports = around.backends()
    except (Exception, SystemExit) as reason:  # noqa: BLE001 - a broken library may raise anything
        line = str(reason).strip().partition("\n")[0] or type(reason).__name__
        yield problem("backends", f"The backends cannot be loaded: {line}", "Run ./install.sh again.")
        return
    for report in reports:
        yield ok(f"backend {report.name}", report.detail if report.is_available else f"not in use: {report.detail}")
    if not any(report.is_available for report in reports):
        fix = "Run ./install.sh again, or: pip install ai-edge-litert"
        yield problem("backends", "No inference backend works here.", fix)
