"""From a URI to an opened sink."""

from __future__ import annotations

import importlib
from typing import Protocol

from camera_demo.sinks.contract import Sink, SinkContext
from camera_demo.uri import Uri

__all__ = ["open_sink"]


class _Module(Protocol):
    def open_sink(self, place: str, context: SinkContext) -> Sink:
        """Open what ``place`` names."""


def open_sink(uri: Uri, context: SinkContext) -> Sink:
    """Open a sink; its module, and what it needs, is imported only now.

    Raises:
        SinkError: It cannot be opened.
        OutputError: The file cannot be written.
    """
    module: _Module = importlib.import_module(f"camera_demo.sinks.{uri.scheme.module}")
    return module.open_sink(uri.place, context)
