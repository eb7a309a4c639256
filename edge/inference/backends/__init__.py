"""Inference backends: what runs a model file, one short module each, tried in the order of one table."""

from edge.inference.backends.base import Backend, Conditions, ModelFile
from edge.inference.backends.registry import BACKENDS, BackendReport, Refusal, backend_reports, open_backend

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendReport",
    "Conditions",
    "ModelFile",
    "Refusal",
    "backend_reports",
    "open_backend",
]
