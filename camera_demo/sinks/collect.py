"""Frames kept as JPEG in a folder, to label and learn from."""

from __future__ import annotations

from camera_demo.collecting.collection import Collection
from camera_demo.collecting.collector import Collector
from camera_demo.collecting.options import parse_place
from camera_demo.events import Event
from camera_demo.frames import Result
from camera_demo.sinks.base import SinkContext

__all__ = ["CollectSink", "open_sink"]


class CollectSink:
    """Hands answers to a :class:`Collector`."""

    wants_picture = False

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def show(self, result: Result) -> None:
        """Keep the frame, if there is a reason to."""
        self._collector.see(result)

    def on_event(self, event: Event) -> None:
        """Do nothing: frames are kept by their answers."""

    def close(self) -> None:
        """Let others collect into the folder."""
        self._collector.collection.close()


def open_sink(place: str, context: SinkContext) -> CollectSink:
    """Collect into a folder, which is made: ``DIR``, or ``DIR?every=60&mb=200``.

    Raises:
        SinkError: The place is invalid, or another process collects into the folder.
        OutputError: The folder cannot be written.
    """
    folder, options = parse_place(place)
    collector = Collector(Collection(folder), options, losses=lambda: context.run_state.source.now.losses)
    context.run_state.collector = collector
    context.announce(f"Collecting pictures in {folder}: {len(collector.collection.pictures())} are there")
    return CollectSink(collector)
