"""Where answers go, one short file each behind :class:`Sink`."""

from camera_demo.sinks.contract import Sink, SinkContext, WatcherLeft
from camera_demo.sinks.opening import open_sink

__all__ = ["Sink", "SinkContext", "WatcherLeft", "open_sink"]
