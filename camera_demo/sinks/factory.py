"""From a URI to an opened sink."""

from __future__ import annotations

import importlib
from typing import Protocol

from camera_demo.sinks.base import Sink, SinkContext
from camera_demo.sinks.threaded_sink import DetachedSink
from camera_demo.uri import Uri

__all__ = ["open_sink"]


class _Module(Protocol):
    def open_sink(self, place: str, context: SinkContext) -> Sink:
        """Open what ``place`` names."""


def open_sink(uri: Uri, context: SinkContext, *, is_live: bool = False) -> Sink:
    """Open a sink; its module, and what it needs, is imported only now.

    Args:
        uri: What to open.
        context: What it may need of its surroundings.
        is_live: Whether the answers come at a camera's pace, so that a sink that waits must wait by itself.

    Raises:
        SinkError: It cannot be opened.
        OutputError: The file cannot be written.
    """
    module: _Module = importlib.import_module(f"camera_demo.sinks.{uri.scheme.module}")
    sink = module.open_sink(uri.location, context)
    return DetachedSink(sink, uri.name) if is_live and uri.scheme.may_wait else sink
