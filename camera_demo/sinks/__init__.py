"""Where answers go, one short file each behind :class:`Sink`."""

from camera_demo.sinks.base import Sink, SinkContext, WatcherLeft
from camera_demo.sinks.factory import open_sink

__all__ = ["Sink", "SinkContext", "WatcherLeft", "open_sink"]
