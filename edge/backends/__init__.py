"""Inference backends: what runs a model file, one short module each, tried in the order of one table."""

from edge.backends.contract import Backend, Conditions, ModelFile
from edge.backends.table import BACKENDS, BackendReport, Refusal, backend_reports, open_backend

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
